//! Workers die around the commit; the effect happens once.

use std::time::Duration;

use super::scene::Scene;
use crate::crash::failpoints_are_compiled_in;

/// How long a process may take to come to its failpoint and die.
const DEATH: Duration = Duration::from_secs(30);

/// The worker dies there; the task begins so often, and so many workers were lost with it.
async fn dies_at(failpoint: &str, begins: usize, crashes: u32) {
    failpoints_are_compiled_in();
    for scene in [Scene::on_postgres().await, Scene::on_a_file().await] {
        let beat = scene.start(&["beat"]);
        let id = scene.publish("returns").await;
        let mut dying = scene.worker_to_fail(failpoint);
        assert!(!dying.ended(DEATH).await.success());
        let worker = scene.start(&["worker"]);

        let record = scene.succeeded(id).await;
        // A delivery that was not acknowledged comes again, and finds the task done.
        let next = scene.publish("returns").await;
        scene.succeeded(next).await;
        worker.stop().await;
        beat.stop().await;

        let mut effects = scene.effects().await;
        effects.sort();
        let mut both = [id.to_string(), next.to_string()];
        both.sort();
        assert_eq!(effects, both, "{failpoint}");
        assert_eq!(record.message.crashes, crashes, "{failpoint}");
        assert_eq!(scene.journal.count(&["begin", &id.to_string()]), begins, "{failpoint}");
    }
}

#[tokio::test]
async fn a_worker_that_dies_before_the_commit_has_done_nothing() {
    dies_at("transaction.settled", 2, 1).await;
}

#[tokio::test]
async fn a_worker_that_dies_after_the_commit_has_done_all_of_it() {
    dies_at("transaction.committed", 1, 0).await;
}

#[tokio::test]
async fn a_worker_that_dies_after_its_own_settle_has_done_all_of_it() {
    dies_at("worker.settled", 1, 0).await;
}
