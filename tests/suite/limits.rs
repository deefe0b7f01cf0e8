//! Limits and fair queues when processes die.

use std::time::Duration;

use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{count, eventually, tasks};

use super::crash::failpoints_are_compiled_in;
use super::scene::{PATIENCE, Scene};

/// How long a process may take to come to its failpoint and die.
const DEATH: Duration = Duration::from_secs(30);

const ONE_A_KEY: &str = "[tasks.hold.per_key]\nrunning = 1\n[tasks.note.per_key]\nrunning = 1\n";

#[tokio::test]
async fn a_killed_workers_slot_goes_to_the_first_in_line() {
    let scene = Scene::with(ONE_A_KEY);
    let beat = scene.beat();
    let mut lost = scene.worker();
    let first = scene.world.publish(&["hold", "--key", "a"]).await;
    let orphan = scene.held(first, 1).await;
    let second = scene.world.publish(&["hold", "--key", "a"]).await;
    let other_key = scene.world.publish(&["hold", "--key", "b"]).await;
    let other_gate = scene.held(other_key, 1).await;
    let store = scene.world.store().await;
    let waits = async || {
        let record = store.inspect.get(vec![second]).await.expect("the store shows").remove(0);
        record.and_then(|record| record.note).is_some_and(|note| note.contains("in line"))
    };
    eventually("the second stands in line", PATIENCE, waits).await;

    lost.kill().await;
    scene.let_go(&orphan);
    scene.let_go(&other_gate);
    let worker = scene.worker();

    let gate = scene.held(second, 1).await;
    assert_eq!(scene.journal.count(&["begin", &first.to_string()]), 1, "its slot is taken");
    scene.let_go(&gate);
    scene.succeeded(&store, second).await;
    let gate = scene.held(first, 2).await;
    scene.let_go(&gate);
    let gate = scene.held(other_key, 2).await;
    scene.let_go(&gate);
    assert_eq!(scene.succeeded(&store, first).await.message.crashes, 1);
    scene.succeeded(&store, other_key).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_worker_that_dies_between_claim_and_run_keeps_no_slot() {
    failpoints_are_compiled_in();
    let scene = Scene::with(ONE_A_KEY);
    let beat = scene.beat();
    let publish = ["publish", "note", "--key", "a", "--count", "5"];
    scene.world.run(&publish).await.ok();

    let mut dying = scene.world.start_to_fail(&["worker"], "worker.claimed");
    assert!(!dying.ended(DEATH).await.success());
    let worker = scene.worker();

    let store = scene.world.store().await;
    let done = async || count(&store, TaskState::Succeeded).await == 5;
    eventually("all have run", PATIENCE, done).await;
    worker.stop().await;
    beat.stop().await;
    scene.everything_ran_once();
}

/// A client dies while it asks for its tasks' turns; what it recorded runs all the same, once.
async fn client_of_a_fair_queue_dies_at(failpoint: &str) {
    failpoints_are_compiled_in();
    let scene = Scene::with("[queues.default.fair]\nslots = 2\n");
    let publish = ["publish", "note", "--key", "a", "--count", "5"];
    let mut dying = scene.world.start_to_fail(&publish, failpoint);
    assert!(!dying.ended(DEATH).await.success());
    let store = scene.world.store().await;
    assert_eq!(tasks(&store, TaskFilter::default()).await.len(), 5, "they were recorded");

    let (beat, worker) = (scene.beat(), scene.worker());

    let done = async || count(&store, TaskState::Succeeded).await == 5;
    eventually("all have run", PATIENCE, done).await;
    worker.stop().await;
    beat.stop().await;
    scene.everything_ran_once();
}

#[tokio::test]
async fn a_client_that_dies_before_it_asks_for_a_turn_has_published() {
    client_of_a_fair_queue_dies_at("client.publish.recorded").await;
}

#[tokio::test]
async fn a_client_that_dies_after_it_asked_for_a_turn_has_published() {
    client_of_a_fair_queue_dies_at("client.publish.lined_up").await;
}
