//! A deployment that rolls: two programs at work whose tasks have arguments of different versions.

use serde::{Deserialize, Serialize};
use upbeat::prelude::*;
use upbeat_shared::id::TaskId;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Process, World, enter, eventually};

use super::scene::PATIENCE;

/// Which of the two programs it is.
const PROGRAM: &str = "UPBEAT_TEST_VERSIONS_PROGRAM";
/// The test that becomes the program.
const ENTRY: &str = "versions::entry";

/// The arguments as the program of yesterday has them.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "invoice", output = String)]
struct Yesterday {
    customer: u64,
}

/// As the program of today has them.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "invoice", output = String, priority = 7, version = 2, from(1 = Yesterday))]
struct Today {
    client: String,
}

impl From<Yesterday> for Today {
    fn from(yesterday: Yesterday) -> Self {
        Self { client: format!("number {}", yesterday.customer) }
    }
}

/// Whose first version nobody reads any more.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "strict", version = 2)]
struct Strict {
    client: String,
}

async fn yesterday(invoice: Yesterday) -> Result<String, Error> {
    Ok(format!("yesterday: {}", invoice.customer))
}

async fn today(invoice: Today) -> Result<String, Error> {
    Ok(format!("today: {}", invoice.client))
}

async fn strict(task: Strict) -> Result<String, Error> {
    Ok(task.client)
}

/// Not a test but a way in.
#[test]
fn entry() {
    enter(|args| {
        let app = match std::env::var(PROGRAM).expect("which program").as_str() {
            "yesterday" => App::new().task(yesterday),
            _ => App::new().task(today).task(strict),
        };
        app.run_cli(args)
    });
}

struct Deployment {
    world: World,
}

impl Deployment {
    fn new() -> Self {
        let configuration = "data = \"@/data\"\n[ledger]\nlease = \"2s\"\n";
        Self { world: World::new(env!("CARGO_BIN_EXE_upbeat"), configuration) }
    }

    fn start(&self, program: &str, args: &[&str]) -> Process {
        let mut command = self.world.program(ENTRY, args);
        command.env(PROGRAM, program);
        self.world.start_command(args, command)
    }

    /// Publishes with one of the programs.
    async fn publish(&self, program: &str, args: &[&str]) -> TaskId {
        let mut publish = self.start(program, &[&["publish"], args].concat());
        let status = publish.ended(PATIENCE).await;
        assert!(status.success(), "{}", publish.log());
        let log = publish.log();
        // Around it, the test binary speaks.
        let id = log.lines().find_map(|line| line.trim().parse().ok());
        id.unwrap_or_else(|| panic!("no id in {log}"))
    }

    /// What `tasks show --json` shows.
    async fn shown(&self, id: TaskId) -> serde_json::Value {
        let said = self.world.run(&["tasks", "show", &id.to_string(), "--json"]).await.ok();
        serde_json::from_str(&said.out).expect("one object")
    }

    async fn result(&self, id: TaskId) -> String {
        let store = self.world.store().await;
        let record = self.world.ended(&store, id, PATIENCE).await;
        assert_eq!(record.state, TaskState::Succeeded, "{record:#?}");
        record.result.expect("a text").decode().expect("a text")
    }
}

#[tokio::test]
async fn a_worker_leaves_newer_arguments_to_a_newer_worker_which_reads_older_ones() {
    let deployment = Deployment::new();
    let beat = deployment.world.start(&["beat"]);
    let old = deployment.start("yesterday", &["worker"]);
    let of_yesterday = deployment.publish("yesterday", &["invoice", "--args", r#"{"customer":7}"#]).await;
    assert_eq!(deployment.result(of_yesterday).await, "yesterday: 7");

    // Published by the new program, before it has a worker.
    let of_today = deployment.publish("today", &["invoice", "--args", r#"{"client":"seven"}"#]).await;
    eventually("it is parked", PATIENCE, async || {
        let shown = deployment.shown(of_today).await;
        assert_eq!(shown["args_version"], 2, "{shown:#}");
        assert_eq!((&shown["attempts"], &shown["priority"]), (&0.into(), &7.into()), "{shown:#}");
        let note = "needs a worker that reads version 2 of its arguments; this one reads up to 1";
        shown["state"] == "scheduled" && shown["note"] == note
    })
    .await;
    old.says("they wait for a newer worker", PATIENCE).await;
    let shown = deployment.world.run(&["tasks", "show", &of_today.to_string()]).await.ok();
    assert!(shown.out.contains("args version  2\n"), "{}", shown.out);

    let new = deployment.start("today", &["worker"]);
    old.stop().await;
    assert_eq!(deployment.result(of_today).await, "today: seven");
    // What somebody who knows nothing of versions still sends.
    let late = deployment.world.publish(&["invoice", "--args", r#"{"customer":7}"#]).await;
    assert_eq!(deployment.result(late).await, "today: number 7");

    let stale =
        ["strict", "--args", r#"{"customer":7}"#, "--args-version", "1", "--wait", "--timeout", "60s"];
    let said = deployment.world.run(&[&["publish"], stale.as_slice()].concat()).await.failed(1);
    assert!(said.out.contains("bad_arguments: the arguments are of version 1"), "{said:#?}");
    new.stop().await;
    beat.stop().await;
}
