//! What becomes of a run that committed, however its handler ends.

use upbeat_tests::harness::eventually;

use super::scene::{PATIENCE, Scene};

/// Runs a task that goes on like this after its commit; its success stands, and nobody is told of a failure.
async fn stands(scene: Scene, then: &str) {
    let up = scene.start(&["up"]);
    let id = scene.publish(then).await;
    let record = scene.succeeded(id).await;
    if then != "returns" {
        up.says("the success stands", PATIENCE).await;
    }
    // What it settles afterwards is settled when it has stopped.
    up.stop().await;

    scene.happened_once(id).await;
    let after = scene.store.inspect.get(vec![id]).await.expect("the store shows").remove(0);
    assert_eq!(after.as_ref(), Some(&record), "nothing came after it");
    assert_eq!((record.message.attempts, record.message.crashes), (0, 0));
    let kept = record.result.expect("it was committed with a result").decode::<i64>();
    assert_eq!(Some(kept.expect("it is a fence")), record.fence.map(|fence| fence.0));
    assert_eq!(scene.journal.count(&["begin"]), 1);
    assert_eq!(scene.journal.count(&["retried"]), 0);
}

#[tokio::test]
async fn a_run_that_commits_and_returns_has_succeeded() {
    stands(Scene::on_postgres().await, "returns").await;
    stands(Scene::on_a_file().await, "returns").await;
}

#[tokio::test]
async fn an_error_after_the_commit_changes_nothing() {
    stands(Scene::on_postgres().await, "fails").await;
    stands(Scene::on_a_file().await, "fails").await;
}

#[tokio::test]
async fn a_panic_after_the_commit_changes_nothing() {
    stands(Scene::on_postgres().await, "panics").await;
    stands(Scene::on_a_file().await, "panics").await;
}

#[tokio::test]
async fn a_timeout_after_the_commit_changes_nothing() {
    stands(Scene::on_postgres().await, "sleeps").await;
    stands(Scene::on_a_file().await, "sleeps").await;
}

#[tokio::test]
async fn a_transaction_that_is_committed_again_is_refused() {
    stands(Scene::on_postgres().await, "repeats").await;
    stands(Scene::on_a_file().await, "repeats").await;
}

#[tokio::test]
async fn nobody_is_told_of_the_failure_of_a_run_that_settled_itself_behind_its_workers_back() {
    let scene = Scene::on_postgres().await;
    let up = scene.start(&["up"]);
    let id = scene.publish("settles_by_sql").await;
    let record = scene.succeeded(id).await;
    up.stop().await;

    scene.happened_once(id).await;
    assert_eq!(record.result.map(|result| result.to_json()), Some(7.into()));
    assert_eq!((scene.journal.count(&["begin"]), scene.journal.count(&["retried"])), (1, 0));
}

#[tokio::test]
async fn what_a_run_publishes_in_its_transaction_runs_after_it() {
    for scene in [Scene::on_postgres().await, Scene::on_a_file().await] {
        let up = scene.start(&["up"]);
        let id = scene.publish("publishes").await;
        scene.succeeded(id).await;
        eventually("the other task runs", PATIENCE, async || scene.journal.count(&["after"]) == 1).await;
        up.stop().await;
        assert_eq!(scene.journal.count(&["after"]), 1);
        scene.happened_once(id).await;
    }
}

#[tokio::test]
async fn a_worker_that_stood_still_commits_nothing_after_another_has_the_task() {
    for scene in [Scene::on_postgres().await, Scene::on_a_file().await] {
        let beat = scene.start(&["beat"]);
        let first = scene.start(&["worker"]);
        first.says("the worker is ready", PATIENCE).await;
        let id = scene.publish_held("waits").await;
        scene.journal.wait("begin", id, 1, PATIENCE).await;
        scene.freeze(&first).await;
        let second = scene.start(&["worker"]);
        scene.journal.wait("begin", id, 2, PATIENCE).await;

        first.thaw();
        scene.world.remove(&format!("gate.{id}"));

        scene.succeeded(id).await;
        for member in [first, second, beat] {
            member.stop().await;
        }
        scene.happened_once(id).await;
    }
}
