//! When a task that runs learns that somebody asked it to stop.

use upbeat_shared::task::TaskState;

use super::scene::Scene;

#[tokio::test]
async fn a_running_task_learns_of_its_cancel_long_before_the_next_heartbeat() {
    // Heartbeats come every two minutes.
    let scene = Scene::with_lease("10m");
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    let id = scene.world.publish(&["hold"]).await;
    scene.begun("hold", id).await;

    scene.world.run(&["tasks", "cancel", &id.to_string()]).await.ok();

    scene.begun("told", id).await;
    assert_eq!(scene.ended(&store, id).await.state, TaskState::Cancelled);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_cancelled_task_that_succeeds_late_has_succeeded() {
    let scene = Scene::with_lease("10m");
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    let id = scene.world.publish(&["finish"]).await;
    scene.begun("finish", id).await;

    scene.world.run(&["tasks", "cancel", &id.to_string()]).await.ok();

    scene.begun("told", id).await;
    assert_eq!(scene.ended(&store, id).await.state, TaskState::Succeeded);
    worker.stop().await;
    beat.stop().await;
}
