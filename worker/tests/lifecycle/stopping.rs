//! How a worker ends.

use std::time::Duration;

use upbeat_shared::name::TaskName;
use upbeat_shared::task::TaskState;
use upbeat_worker::executor::native::native;

use crate::jobs::{obedient, stubborn};
use crate::world::{World, until};

#[tokio::test]
async fn what_runs_may_finish_and_what_has_not_started_goes_back() {
    let world = World::new().await;
    let task = native(TaskName::new("finishes").unwrap(), |(): (), _| async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    });
    let worker = world.work(vec![task], |options| options.concurrency = 1);
    let first = world.publish("finishes", "default").await;
    world.until(first, TaskState::Running).await;
    let second = world.publish("finishes", "default").await;
    let report = worker.stopped().await;
    assert_eq!((report.stopped, report.abandoned, report.unsettled), (0, 0, 0));
    assert_eq!(world.task(first).await.unwrap().state, TaskState::Succeeded);
    assert_eq!(world.task(second).await, None, "nobody claimed it");
    let depth = world.transport.depth(&"default".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((depth.ready, depth.unacknowledged), (1, Some(0)));
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_released() {
    let world = World::new().await;
    let worker = world.work(vec![obedient("obeys"), stubborn("does.not")], |options| {
        options.grace = Duration::from_millis(100);
    });
    let ids = [world.publish("obeys", "default").await, world.publish("does.not", "default").await];
    for id in ids {
        world.until(id, TaskState::Running).await;
    }
    let report = worker.stopped().await;
    assert_eq!((report.stopped, report.abandoned, report.unsettled), (2, 0, 0));
    for id in ids {
        let record = world.task(id).await.unwrap();
        assert_eq!((record.state, record.message.attempts), (TaskState::Scheduled, 0));
    }
}

#[tokio::test]
async fn a_worker_stops_in_time_while_the_ledger_is_away() {
    let world = World::new().await;
    let worker = world.work(vec![obedient("waits")], |options| options.grace = Duration::from_millis(100));
    let id = world.publish("waits", "default").await;
    world.until(id, TaskState::Running).await;
    world.set_down(true);
    let report = worker.stopped().await;
    assert_eq!(report.unsettled, 1);
}

#[tokio::test]
async fn a_worker_that_never_met_its_ledger_stops_too() {
    let world = World::new().await;
    world.set_down(true);
    let worker = world.work(Vec::new(), |_| {});
    until("the trouble to be told", || {
        worker.health.why_not().iter().any(|trouble| trouble.contains("it is down"))
    })
    .await;
    worker.stopped().await;
}

#[tokio::test]
async fn a_dropped_worker_drops_its_runs() {
    let world = World::new().await;
    let (held, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
    let task = native(TaskName::new("holds").unwrap(), move |(): (), _| {
        let held = held.clone();
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        }
    });
    let worker = world.work(vec![task], |_| {});
    let id = world.publish("holds", "default").await;
    world.until(id, TaskState::Running).await;
    worker.abort();
    // Closed when the last run and the registry, which hold its sender, are gone.
    assert_eq!(dropped.recv().await, None);
}
