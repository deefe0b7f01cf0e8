//! A world of the program, with a table of effects beside the ledger's.

use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::clock::SystemClock;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Due, Store};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_tests::conformance::embedded::open_ledger;
use upbeat_tests::conformance::postgres::{Space, connect};
use upbeat_tests::harness::{Journal, Process, Queue, World};
use upbeat_tests::message::{entry, message, task_name};

use super::program::{ENTRY, SCHEMA, URL};

/// How long something may take that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Where the ledger is; the broker is a file in either case.
enum Ledger {
    Postgres(Space),
    File,
}

/// Its configuration, its journal, its effects.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) journal: Journal,
    pub(super) store: Store,
    ledger: Ledger,
}

impl Scene {
    /// The ledger on Postgres, in a schema of its own.
    pub(super) async fn on_postgres() -> Self {
        let space = Space::random();
        let store = Store::from_adapter(space.open(2).await);
        let table = format!("create table {}.test_effect (effect text)", space.schema());
        connect(&space.url).await.batch_execute(&table).await.expect("a table can be made");
        Self::with(Ledger::Postgres(space), store)
    }

    /// The ledger on the embedded file.
    pub(super) async fn on_a_file() -> Self {
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "");
        let store = open_ledger(&world.store_path(), Arc::new(SystemClock::default())).await;
        let file = rusqlite::Connection::open(world.store_path()).expect("the file can be opened");
        file.execute_batch("CREATE TABLE test_effect (effect TEXT)").expect("a table can be made");
        Self::in_world(world, Ledger::File, store)
    }

    fn with(ledger: Ledger, store: Store) -> Self {
        Self::in_world(World::new(env!("CARGO_BIN_EXE_upbeat"), ""), ledger, store)
    }

    fn in_world(world: World, ledger: Ledger, store: Store) -> Self {
        let (namespace, url) = match &ledger {
            Ledger::Postgres(space) => (space.namespace.to_string(), space.url.expose().to_owned()),
            Ledger::File => ("default".to_owned(), "embedded".to_owned()),
        };
        let data = world.path("data").display().to_string();
        let configuration = format!(
            "namespace = '{namespace}'\ndata = '{data}'\n[ledger]\nurl = '{url}'\nlease = '2s'\n\
             [worker]\ntimeout = '2s'\ngrace = '1s'\n"
        );
        // As it stands: URLs are full of `@`.
        world.write("upbeat.toml", &configuration);
        let journal = world.journal(World::JOURNAL);
        Self { world, journal, store, ledger }
    }

    /// The task whose handler fits the ledger.
    pub(super) fn task(&self) -> &'static str {
        match &self.ledger {
            Ledger::Postgres(_) => "in_postgres",
            Ledger::File => "in_a_file",
        }
    }

    /// Publishes a run that commits when its gate is removed.
    pub(super) async fn publish_held(&self, then: &str) -> TaskId {
        let args = Payload::json(then).expect("a text is JSON");
        let held = Message { name: task_name(self.task()), args, timeout: Some(PATIENCE), ..message() };
        self.world.write(&format!("gate.{}", held.id), "");
        let added = self.store.agenda.add(vec![entry(&held, Due::In(Duration::ZERO))]).await;
        added.expect("the store adds");
        held.id
    }

    /// Publishes a run that goes on like this after its commit.
    pub(super) async fn publish(&self, then: &str) -> TaskId {
        let args = format!("\"{then}\"");
        let publish = self.command(&["publish", self.task(), "--args", &args]);
        let said = self.world.run_command(publish, "").await.ok();
        // The harness of the test binary says a word of its own first.
        let id = said.out.split_whitespace().find_map(|word| word.parse().ok());
        id.unwrap_or_else(|| panic!("no id was printed: {said:?}"))
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = self.world.program(ENTRY, args);
        if let Ledger::Postgres(space) = &self.ledger {
            command.env(URL, space.url.expose()).env(SCHEMA, space.schema());
        }
        command
    }

    /// Starts a role of the program.
    pub(super) fn start(&self, args: &[&str]) -> Process {
        self.world.start_command(args, self.command(args))
    }

    /// Stops a member where it stands, but not in the middle of a write to the broker's file.
    pub(super) async fn freeze(&self, member: &Process) {
        let file = match &self.ledger {
            Ledger::Postgres(space) => self.world.path(&format!("data/{}.sqlite3", space.namespace)),
            Ledger::File => self.world.store_path(),
        };
        Queue::open(&file).freeze(member).await;
    }

    /// Starts a worker that dies at a failpoint.
    pub(super) fn worker_to_fail(&self, failpoint: &str) -> Process {
        let mut command = self.command(&["worker"]);
        command.env("FAILPOINTS", format!("{failpoint}=return"));
        self.world.start_command(&["worker"], command)
    }

    /// Waits until the task has succeeded.
    pub(super) async fn succeeded(&self, id: TaskId) -> TaskRecord {
        let record = self.world.ended(&self.store, id, PATIENCE).await;
        assert_eq!(record.state, TaskState::Succeeded, "{record:#?}");
        record
    }

    /// The effects that were committed: the ids of their tasks.
    pub(super) async fn effects(&self) -> Vec<String> {
        match &self.ledger {
            Ledger::Postgres(space) => {
                let sql = format!("select effect from {}.test_effect", space.schema());
                let rows = connect(&space.url).await.query(&sql, &[]).await.expect("effects can be read");
                rows.iter().map(|row| row.get(0)).collect()
            }
            Ledger::File => {
                let file =
                    rusqlite::Connection::open(self.world.store_path()).expect("the file can be opened");
                let mut select = file.prepare("SELECT effect FROM test_effect").expect("it is SQL");
                let effects = select.query_map([], |row| row.get(0)).expect("effects can be read");
                effects.collect::<Result<_, _>>().expect("effects are texts")
            }
        }
    }

    /// The task's effect, and no other, happened once.
    pub(super) async fn happened_once(&self, id: TaskId) {
        assert_eq!(self.effects().await, [id.to_string()]);
    }
}
