//! Clients that know nothing of Upbeat but a few SQL functions: psql, Python's psycopg, and sqlx.

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Store;
use upbeat_shared::ledger::postgres::{PostgresLedger, PostgresOptions};
use upbeat_shared::name::Namespace;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_tests::harness::{World, eventually};
use upbeat_tests::message::task_name;
use upbeat_tests::services::{Kind, Server, python};

use super::scene::PATIENCE;

const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers");
const PUBLISH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/transactions/publish.py");
const CHARGE: &str = include_str!("../../../examples/transactions/charge.py");

/// A shop on a server of its own, in the namespace `default`.
struct Shop {
    server: Server,
    world: World,
    store: Store,
}

impl Shop {
    /// `shop.charge` is this program.
    async fn new(command: &[&str]) -> Self {
        let server = Server::start(Kind::Postgres).await;
        let url = server.url().parse().expect("a server has an address");
        let ledger = PostgresLedger::open(PostgresOptions::new(url, Namespace::default())).await;
        let store = Store::from_adapter(ledger.expect("the ledger can be opened"));
        let tables = "create table accounts (id bigint primary key, cents bigint);
            create table orders (id bigserial primary key, account bigint, cents bigint);
            insert into accounts values (1, 1000)";
        server.ctl(&["-c", tables]).await;
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "");
        let configuration = format!(
            "data = '{data}'\n[ledger]\nurl = '{url}'\n[worker]\ntimeout = '60s'\n\
             [tasks.\"shop.charge\"]\ncommand = {command:?}\nenv = {{ DATABASE_URL = '{url}' }}\n\
             [tasks.note]\ncommand = ['sh', '-c', 'echo note $UPBEAT_TASK_ID >> {journal}']\n",
            data = world.path("data").display(),
            url = server.url(),
            journal = world.path("journal").display(),
        );
        world.write("upbeat.toml", &configuration);
        Self { server, world, store }
    }

    /// `shop.charge` is the example in Python, and then ends with this exit code.
    async fn in_python(exit: u8) -> Self {
        let program = format!("exec {SERVERS} python -c \"$(cat charge.py)\"");
        let roots = std::env::var("UPBEAT_TEST_ROOTS").map(|roots| format!("UPBEAT_TEST_ROOTS={roots}"));
        let command = ["env"].into_iter().chain(roots.as_deref().ok()).chain(["sh", "-c", &program]);
        let shop = Self::new(&command.collect::<Vec<_>>()).await;
        shop.world.write("charge.py", &format!("{CHARGE}\nsys.exit({exit})\n"));
        shop
    }

    /// The first order is charged, once.
    async fn charges(&self) -> TaskRecord {
        let id = TaskId::from_dedup(&Namespace::default(), &task_name("shop.charge"), "order-1");
        let record = self.world.ended(&self.store, id, PATIENCE).await;
        assert_eq!(record.state, TaskState::Succeeded, "{record:#?}");
        assert_eq!(record.message.args.to_json(), serde_json::json!({ "order": 1 }));
        assert_eq!(self.ask("select cents from accounts").await, "750");
        record
    }

    /// One report waits, and holds its key.
    async fn reports_once(&self) {
        let sql = "select count(*), count(holds) from upbeat.task where name = 'shop.report'";
        assert_eq!(self.ask(sql).await, "1|1");
    }

    /// What a query answers, bare.
    async fn ask(&self, sql: &str) -> String {
        self.server.ctl(&["-At", "-c", sql]).await.trim().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_in_python_publishes_and_settles_in_its_own_transactions() {
    // Whatever its exit code says: what it committed stands.
    for exit in [0, 1] {
        let shop = Shop::in_python(exit).await;
        let up = shop.world.start(&["up"]);

        python(&[PUBLISH, shop.server.url()]).await;
        shop.reports_once().await;

        let record = shop.charges().await;
        up.stop().await;
        assert_eq!(record.result.expect("it was settled with one").to_json(), "charged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_with_sqlx_publishes_and_settles_in_its_own_transactions() {
    let me = std::env::current_exe().expect("a process knows its program");
    let target = me.ancestors().nth(3).expect("cargo puts tests into target/debug/deps");
    let example = target.join("sqlx-example/debug/sqlx-example");
    assert!(example.exists(), "{} is not built: tests/run builds it", example.display());
    let shop = Shop::new(&[example.to_str().expect("a path is UTF-8"), "charge"]).await;
    let up = shop.world.start(&["up"]);

    let mut order = shop.world.command_of(&example, &["order"]);
    order.env("DATABASE_URL", shop.server.url());
    let said = shop.world.run_command(order, "").await.ok();
    assert!(said.out.contains("order 1 will be charged by the task "), "{said:?}");
    shop.reports_once().await;

    shop.charges().await;
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_publishes_what_it_commits_and_nothing_else() {
    let shop = Shop::new(&["true"]).await;
    let up = shop.world.start(&["up"]);
    let journal = shop.world.journal("journal");

    shop.ask("begin; select upbeat.publish('note', dedup_id => 'no'); rollback").await;
    let said = shop.ask("begin; select upbeat.publish('note'); commit").await;
    let id: TaskId = said.parse().expect("it answers an id");

    journal.wait("note", id, 1, PATIENCE).await;
    let record = shop.world.ended(&shop.store, id, PATIENCE).await;
    assert_eq!((record.state, id.0.get_version_num()), (TaskState::Succeeded, 7));
    up.stop().await;
    assert_eq!(journal.count(&["note"]), 1);
    let derived =
        shop.ask("begin; select upbeat.publish('billing.invoice', dedup_id => 'order-17'); rollback");
    assert_eq!(derived.await, "6fec2601-732b-8c1b-93d6-7dd8d47bb1e8", "as docs/wire.md says");
    eventually("nothing waits", PATIENCE, async || shop.ask("select count(*) from upbeat.task").await == "1")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_takes_unique_keys_and_gives_them_back_with_a_rollback() {
    let shop = Shop::new(&["true"]).await;
    let keyed = "select upbeat.publish('note', unique_key => 'k', delay => '1 hour')";
    let never = shop.ask(&format!("begin; {keyed}; rollback")).await;
    let first = shop.ask(&format!("begin; {keyed}; commit")).await;
    let second = shop.ask(&format!("begin; {keyed}; commit")).await;
    assert!(first != never && first == second, "{never} {first} {second}");
    let found = shop.ask("select * from upbeat.publish_or_find('note', unique_key => 'k')").await;
    assert_eq!(found, format!("{first}|scheduled"));
}
