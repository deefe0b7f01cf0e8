//! Dead tasks in a person's hands: found, looked into, mended, and run again, one or many.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use upbeat_shared::clock::SystemClock;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Store;
use upbeat_shared::message::{HeaderValue, WireMessage};
use upbeat_shared::name::QueueName;
use upbeat_shared::sqlite::SqliteFile;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::embedded::EmbeddedTransport;
use upbeat_shared::transport::{Outgoing, Transport};
use upbeat_tests::harness::{Process, count, eventually, eventually_some};

use super::scene::{PATIENCE, Scene};

/// A task that fails for good, and one that succeeds if it is told to.
const TASKS: &str = r#"
[tasks.fails]
command = ["sh", "-c", 'echo "fails $UPBEAT_TASK_ID" >> @/journal; echo "as told" >&2; exit 1']
retry = { max_attempts = 1 }

[tasks.picky]
command = ["sh", "-c", 'grep -q yes && echo "picky $UPBEAT_TASK_ID" >> @/journal']
retry = { max_attempts = 1 }
"#;

struct Ward {
    scene: Scene,
    store: Store,
    up: Process,
}

impl Ward {
    async fn open() -> Self {
        let scene = Scene::with(TASKS);
        let up = scene.world.start(&["up"]);
        up.says("the worker is ready", PATIENCE).await;
        let store = scene.world.store().await;
        Self { scene, store, up }
    }

    /// What `--json` prints, one object a line.
    async fn objects(&self, args: &[&str]) -> Vec<Value> {
        let said = self.scene.world.run(&[args, &["--json"]].concat()).await.ok();
        said.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
    }

    /// Publishes this, as any client of the broker might.
    async fn send(&self, message: WireMessage) {
        let clock = Arc::new(SystemClock::default());
        let file = SqliteFile::open(&self.scene.world.store_path(), clock).expect("the file is there");
        let transport = EmbeddedTransport::open(file).await.expect("its tables are there");
        let queue = QueueName::default_queue();
        transport.declare(std::slice::from_ref(&queue)).await.expect("it can be made");
        transport.publish(vec![Outgoing { queue, message }]).await.expect("it is taken");
    }

    /// The one dead task that a message became.
    async fn buried(&self) -> Value {
        eventually_some("it is buried", PATIENCE, async || {
            self.objects(&["dead", "list", "--reason", "undeliverable"]).await.pop()
        })
        .await
    }

    async fn dead(&self, tasks: u64) {
        let what = format!("{tasks} are dead");
        eventually(&what, PATIENCE, async || count(&self.store, TaskState::Dead).await == tasks).await;
    }

    async fn all_dead(&self, name: &str, tasks: u64) {
        let tasks = tasks.to_string();
        self.scene.world.run(&["publish", name, "--count", &tasks]).await.ok();
        self.dead(tasks.parse().expect("a number")).await;
    }

    async fn close(self) {
        self.up.stop().await;
    }
}

fn id(task: &Value) -> String {
    task["id"].as_str().expect("an id is a text").to_owned()
}

#[tokio::test]
async fn a_message_that_nobody_understands_is_found_with_every_byte_mended_and_run() {
    let ward = Ward::open().await;
    let body = Bytes::from_static(b"\xff\x00 what is this?\n");
    let header = ("upbeat-tags".to_owned(), HeaderValue::Int(7));
    let wire = WireMessage { body: body.clone(), headers: vec![header], ..WireMessage::default() };
    ward.send(wire).await;

    let dead = ward.buried().await;
    let id = id(&dead);
    assert_eq!(dead["args"]["headers"]["upbeat-tags"], 7);
    assert!(dead["args"]["body_base64"].is_string(), "{dead:#}");
    assert!(dead["error"]["message"].as_str().is_some_and(|text| text.contains("`type` is missing")));
    let world = &ward.scene.world;
    let raw = world.command(&["dead", "show", &id, "--raw"]).output().await.expect("it runs");
    assert_eq!(raw.stdout, body, "{raw:?}");
    let shown = world.run(&["dead", "show", &id]).await.ok().out;
    assert!(shown.contains("what is this?") && shown.contains("upbeat-tags: 7"), "{shown}");

    world.run(&["dead", "replay", &id]).await.failed(1).mentions("still cannot be understood");
    world.run(&["dead", "edit", &id, "--name", "picky"]).await.failed(1).mentions("upbeat-tags");
    let mended =
        ["dead", "edit", &id, "--name", "picky", "--args", r#""yes""#, "--without-header", "upbeat-tags"];
    world.run(&mended).await.ok().mentions("upbeat dead replay");
    let shown = &ward.objects(&["tasks", "show", &id]).await[0];
    assert_eq!(
        (&shown["state"], &shown["name"], &shown["queue"]),
        (&"dead".into(), &"picky".into(), &"default".into())
    );
    assert_eq!(shown["note"], "edited by hand");
    world.run(&["dead", "replay", &id]).await.ok();

    let task: TaskId = id.parse().expect("an id");
    ward.scene.succeeded(&ward.store, task).await;
    assert_eq!(ward.scene.journal.count(&["picky", &id]), 1);
    ward.close().await;
}

#[tokio::test]
async fn a_message_that_a_newer_program_understands_is_simply_replayed() {
    let ward = Ward::open().await;
    let wire = WireMessage {
        kind: Some("note".into()),
        content_type: Some("text/plain".into()),
        body: Bytes::from_static(b"{}"),
        ..WireMessage::default()
    };
    ward.send(wire).await;
    let id = id(&ward.buried().await);

    // What was wrong is given with the replay.
    let edit = ["dead", "edit", &id, "--content-type", "application/json", "--replay"];
    ward.scene.world.run(&edit).await.ok();

    ward.scene.succeeded(&ward.store, id.parse().expect("an id")).await;
    ward.close().await;
}

#[tokio::test]
async fn arguments_are_edited_before_a_replay() {
    let ward = Ward::open().await;
    let world = &ward.scene.world;
    let id = world.publish(&["picky", "--args", r#""no""#]).await.to_string();
    ward.dead(1).await;

    world.run(&["dead", "edit", &id]).await.failed(2).mentions("nothing is to be changed");
    world.run(&["dead", "edit", &id, "--args", "{"]).await.failed(2).mentions("not JSON");
    world.run(&["dead", "replay", "--all", "--args", "1"]).await.failed(2).mentions("of one task");
    world.run(&["dead", "replay", &id, "--args", r#""yes""#]).await.ok();

    let record = ward.scene.succeeded(&ward.store, id.parse().expect("an id")).await;
    assert_eq!(record.message.args.to_json(), "yes");
    ward.close().await;
}

#[tokio::test]
async fn many_are_looked_over_first_and_then_replayed_once_each() {
    let ward = Ward::open().await;
    ward.all_dead("fails", 12).await;
    let before = ward.objects(&["dead", "list"]).await;

    let dry = ward.objects(&["dead", "replay", "--name", "fails", "--reason", "failed", "--dry-run"]).await;
    assert_eq!((&dry[0]["would_be_replayed"], &dry[0]["kinds"][0]["tasks"]), (&12.into(), &12.into()));
    assert_eq!(dry[0]["samples"].as_array().map(Vec::len), Some(5));
    assert_eq!(ward.objects(&["dead", "list"]).await, before, "nothing was changed");
    for none in [["--error", "another"], ["--reason", "timed_out"], ["--until", "1h"]] {
        let args = [&["dead", "replay"], &none[..]].concat();
        assert_eq!(ward.objects(&args).await[0]["replayed"], 0, "{none:?}");
    }
    let some = ["dead", "replay", "--error", "AS TOLD", "--since", "1h", "--limit", "5", "--rate", "1000/s"];
    assert_eq!(ward.objects(&some).await[0]["replayed"], 5);
    let ran = |runs: usize| ward.scene.journal.count(&["fails"]) == runs;
    eventually("five ran again", PATIENCE, async || ran(17)).await;
    ward.dead(12).await;
    // They die again while this goes on, and are not taken for others.
    assert_eq!(ward.objects(&["dead", "replay", "--all", "--rate", "20/s"]).await[0]["replayed"], 12);
    ward.dead(12).await;
    assert!(ran(29), "each once more");
    ward.close().await;
}

#[tokio::test]
async fn a_replay_of_many_keeps_to_its_rate_and_stops_when_it_is_asked_to() {
    let ward = Ward::open().await;
    ward.all_dead("fails", 6).await;

    let mut replay = ward.scene.world.start(&["dead", "replay", "--all", "--rate", "1/m"]);
    eventually("the first is replayed", PATIENCE, async || ward.scene.journal.count(&["fails"]) == 7).await;
    replay.interrupt();
    let status = replay.ended(Duration::from_secs(30)).await;

    assert_eq!(status.code(), Some(1));
    let said = replay.log();
    assert!(said.contains("stopped: replayed 1 task"), "{said}");
    assert!(said.contains("to go on with the others: upbeat dead replay --until "), "{said}");
    ward.dead(6).await;
    // As it says: only those that had died before it began.
    let again = said.split("upbeat dead replay ").nth(1).expect("it says how to go on");
    let until = again.split_whitespace().nth(1).expect("an instant").to_owned();
    let others = ["dead", "replay", "--until", &until, "--rate", "1000/s"];
    assert_eq!(ward.objects(&others).await[0]["replayed"], 5);
    eventually("each ran once more", PATIENCE, async || ward.scene.journal.count(&["fails"]) == 12).await;
    ward.close().await;
}

#[tokio::test]
async fn what_makes_no_sense_of_dead_tasks_is_refused() {
    let ward = Ward::open().await;
    let world = &ward.scene.world;
    let stranger = "0198a2f0-0000-7000-8000-000000000001";
    world.run(&["dead", "replay"]).await.failed(2).mentions("no condition is given");
    world.run(&["dead", "drop"]).await.failed(2).mentions("no condition is given");
    world.run(&["dead", "replay", stranger, "--all"]).await.failed(2).mentions("only one of them");
    world.run(&["dead", "replay", "--all", "--rate", "0/s"]).await.failed(2).mentions("50/s");
    world.run(&["dead", "list", "--reason", "late"]).await.failed(2).mentions("timed_out");
    world.run(&["dead", "show", stranger]).await.failed(1).mentions("not known");
    world.run(&["dead", "edit", stranger, "--args", "1"]).await.failed(1).mentions("not known");
    ward.close().await;
}

#[tokio::test]
async fn many_tasks_are_cancelled_and_retried_by_what_they_have_in_common() {
    let ward = Ward::open().await;
    let world = &ward.scene.world;
    world.run(&["publish", "note", "--count", "4", "--delay", "1h", "--tag", "night"]).await.ok();
    world.run(&["publish", "note", "--delay", "1h"]).await.ok();
    world.run(&["tasks", "cancel"]).await.failed(2).mentions("no condition is given");

    let dry = ward.objects(&["tasks", "cancel", "--tag", "night", "--dry-run"]).await;
    assert_eq!(dry[0]["would_be_cancelled"], 4);
    assert_eq!(count(&ward.store, TaskState::Cancelled).await, 0, "nothing was changed");
    assert_eq!(ward.objects(&["tasks", "cancel", "--tag", "night"]).await[0]["cancelled"], 4);
    assert_eq!(count(&ward.store, TaskState::Scheduled).await, 1, "the other one waits");
    let retry = ["tasks", "retry", "--tag", "night", "--state", "cancelled"];
    assert_eq!(ward.objects(&retry).await[0]["retried"], 4);
    eventually("they ran", PATIENCE, async || ward.scene.journal.count(&["note"]) == 4).await;
    ward.close().await;
}
