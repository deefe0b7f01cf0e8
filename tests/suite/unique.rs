//! Unique keys, seen from outside: from the command line, by many processes, and when processes die.

use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{eventually, tasks};

use super::crash::failpoints_are_compiled_in;
use super::scene::{PATIENCE, Scene};

/// The exit code for what was asked wrongly.
const USAGE: i32 = 2;

#[tokio::test]
async fn the_command_line_tells_which_task_has_the_key() {
    let scene = Scene::new();
    let publish = ["publish", "note", "--unique", "customer-7", "--delay", "1h"];
    let first = scene.world.publish(&publish[1..]).await;

    let said = scene.world.run(&publish).await.ok();
    assert_eq!(said.id(), first);
    said.mentions("this task has the key already: nothing new was made");
    let json = scene.world.run(&[&publish[..], &["--json"]].concat()).await.ok();
    assert!(json.out.contains(&first.to_string()) && json.out.contains("scheduled"), "{json:#?}");
    let many = scene.world.run(&[&publish[..], &["--count", "3"]].concat()).await.ok();
    assert_eq!(many.id(), first, "it is named once");

    let second = scene.world.run(&[&publish[..], &["--replace"]].concat()).await.ok().id();
    assert_ne!(second, first);
    let shown = scene.world.run(&["tasks", "show", &first.to_string()]).await.ok();
    assert!(shown.out.contains(&format!("replaced by {second}")), "{shown:#?}");
    assert!(shown.out.contains("customer-7 until it has ended"), "{shown:#?}");
    let retried = scene.world.run(&["tasks", "retry", &first.to_string()]).await.failed(1);
    assert!(retried.out.contains(&format!("while {second} has its unique key")), "{retried:#?}");

    let window = ["publish", "note", "--unique", "customer-8", "--unique-within", "1h"];
    let first = scene.world.publish(&window[1..]).await;
    assert_eq!(scene.world.publish(&window[1..]).await, first);
}

#[tokio::test]
async fn senseless_keys_are_refused() {
    let scene = Scene::new();
    let refused = scene.world.run(&["publish", "note", "--replace"]).await.failed(USAGE);
    refused.mentions("--unique");
    let refused = scene.world.run(&["publish", "note", "--unique-within", "1h"]).await.failed(USAGE);
    refused.mentions("--unique");
    let refused = scene.world.run(&["publish", "note", "--unique", ""]).await.failed(USAGE);
    refused.mentions("1 to 512 bytes");
    let window = ["publish", "note", "--unique", "a", "--unique-within", "9600h"];
    scene.world.run(&window).await.failed(USAGE).mentions("365 days");
    assert!(tasks(&scene.world.store().await, TaskFilter::default()).await.is_empty());
}

#[tokio::test]
async fn the_same_key_published_1000_times_by_8_processes_runs_once() {
    let scene = Scene::new();
    let publish = ["publish", "note", "--unique", "customer-7", "--count", "125"];

    let said = scene.world.run_all(&[publish.as_slice(); 8]).await;

    let ids: Vec<_> = said.into_iter().map(|said| said.ok().id()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    scene.succeeded(&store, ids[0]).await;
    assert_eq!(tasks(&store, TaskFilter::default()).await.len(), 1);
    // It has ended, and the key is free.
    let next = scene.world.publish(&publish[1..4]).await;
    assert_ne!(next, ids[0]);
    scene.succeeded(&store, next).await;
    beat.stop().await;
    worker.stop().await;
    scene.everything_ran_once();
}

/// A client dies between its row and its mark: the key is held, a beat publishes the task, and its end frees the key.
async fn client_dies_at(failpoint: &str) {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let publish = ["publish", "note", "--unique", "customer-7"];
    let mut dying = scene.world.start_to_fail(&publish, failpoint);
    assert!(!dying.ended(PATIENCE).await.success());

    let id = scene.world.publish(&publish[1..]).await;

    let store = scene.world.store().await;
    let recorded = tasks(&store, TaskFilter::default()).await;
    assert_eq!(recorded.iter().map(upbeat_shared::task::TaskRecord::id).collect::<Vec<_>>(), [id]);
    let (beat, worker) = (scene.beat(), scene.worker());
    scene.succeeded(&store, id).await;
    let next = scene.world.publish(&publish[1..]).await;
    scene.succeeded(&store, next).await;
    beat.stop().await;
    worker.stop().await;
    scene.everything_ran_once();
    assert_ne!(id, next);
}

#[tokio::test]
async fn a_client_that_dies_before_it_publishes_holds_its_key_until_the_task_has_run() {
    client_dies_at("client.publish.recorded").await;
}

#[tokio::test]
async fn a_client_that_dies_between_confirm_and_mark_holds_its_key_until_the_task_has_run() {
    client_dies_at("client.publish.confirmed").await;
}

/// A worker dies; the key is held until another has ended the task, and not longer.
async fn worker_dies_at(failpoint: &str) {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let beat = scene.beat();
    let publish = ["publish", "note", "--unique", "customer-7"];
    let id = scene.world.publish(&publish[1..]).await;
    let mut dying = scene.world.start_to_fail(&["worker"], failpoint);
    assert!(!dying.ended(PATIENCE).await.success());
    let store = scene.world.store().await;
    let record = store.inspect.get(vec![id]).await.expect("the store shows").remove(0).expect("it has a row");

    let second = scene.world.publish(&publish[1..]).await;
    assert_eq!(second == id, !record.state.is_terminal(), "held until it has ended: {record:?}");

    let worker = scene.worker();
    scene.succeeded(&store, id).await;
    scene.succeeded(&store, second).await;
    let free = async || scene.world.publish(&publish[1..]).await != id;
    eventually("the key is free", PATIENCE, free).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_worker_that_dies_after_the_claim_leaves_the_key_to_its_task() {
    worker_dies_at("worker.claimed").await;
}

#[tokio::test]
async fn a_worker_that_dies_between_run_and_settle_leaves_the_key_to_its_task() {
    worker_dies_at("worker.ran").await;
}

#[tokio::test]
async fn a_worker_that_dies_after_the_settle_has_freed_the_key() {
    worker_dies_at("worker.settled").await;
}

#[tokio::test]
async fn a_task_that_expires_unseen_frees_its_key() {
    let scene = Scene::new();
    let publish = ["publish", "note", "--unique", "customer-7"];
    let first =
        scene.world.run(&[&publish[..], &["--expires", "1ms", "--delay", "100ms"]].concat()).await.ok().id();
    let beat = scene.beat();
    let store = scene.world.store().await;

    let record = scene.world.ended(&store, first, PATIENCE).await;

    assert_eq!(record.state, TaskState::Expired);
    assert_ne!(scene.world.publish(&publish[1..]).await, first);
    beat.stop().await;
}

#[tokio::test]
async fn a_key_gets_its_row_first_where_others_get_theirs_with_the_claim() {
    let scene = Scene::with("\n[queues.default]\nrecord = \"claim\"\n");
    scene.world.publish(&["note"]).await;
    let store = scene.world.store().await;
    assert!(tasks(&store, TaskFilter::default()).await.is_empty(), "it has no row before its claim");

    let publish = ["note", "--unique", "customer-7"];
    let first = scene.world.publish(&publish).await;

    assert_eq!(scene.world.publish(&publish).await, first);
    assert_eq!(tasks(&store, TaskFilter::default()).await.len(), 1);
}
