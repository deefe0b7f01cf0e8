//! Notices: tasks that a worker makes of dead ones.

use std::sync::atomic::Ordering;
use std::time::Duration;

use upbeat_shared::hook::{DEAD_NOTICE, Notices};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Action, TaskFilter};
use upbeat_shared::name::{QueueName, TaskName};
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::transport::Outgoing;
use upbeat_worker::WorkerOptions;

use crate::faults::Event;
use crate::hooks::{acknowledged, fails, gives_up_later, publish_tagged};
use crate::world::{World, until};

/// Makes a task of every dead one.
fn noticing(options: &mut WorkerOptions) {
    options.notices = Notices { dead: Some(QueueName::new("hooks").unwrap()), ..Notices::default() };
    options.unknown_name.delay = Duration::ZERO;
    options.unknown_name.dead_after = Duration::ZERO;
}

/// The notices on record, each with the id of the task that it tells of.
async fn notices(world: &World) -> Vec<(TaskRecord, TaskId)> {
    let filter = TaskFilter { name: Some(TaskName::new(DEAD_NOTICE).unwrap()), ..TaskFilter::default() };
    let page = world.truth.inspect.list(filter, None, 100).await.unwrap();
    let about = |record: TaskRecord| {
        let id = record.message.args.to_json()["id"].as_str().unwrap().parse().unwrap();
        (record, id)
    };
    page.tasks.into_iter().map(about).collect()
}

#[tokio::test]
async fn the_notice_of_a_dead_task_is_on_the_agenda_when_the_verdict_is_on_record() {
    let world = World::new().await;
    let worker = world.work(vec![fails("fails").retry(RetryPolicy::never())], noticing);
    let id = publish_tagged(&world, "fails").await;
    world.until(id, TaskState::Dead).await;
    // No waiting: they came in one transaction.
    let notices = notices(&world).await;
    assert_eq!(notices.len(), 1);
    let (notice, about) = &notices[0];
    assert_eq!((*about, notice.state, notice.message.queue.as_str()), (id, TaskState::Scheduled, "hooks"));
    let body = notice.message.args.to_json();
    assert_eq!((&body["attempts"], &body["error"]["message"]), (&1.into(), &"no".into()));
    assert_eq!(body["tags"], serde_json::json!(["tenant:acme"]));
    worker.stopped().await;
}

#[tokio::test]
async fn a_verdict_that_a_cancel_overrules_has_no_notice() {
    let world = World::new().await;
    let (gives_up, gate) = gives_up_later("gives.up");
    let worker = world.work(vec![gives_up], noticing);
    let id = world.publish("gives.up", "default").await;
    gate.begun.notified().await;
    world.truth.inspect.act(vec![id], Action::Cancel { reason: "not needed".into() }).await.unwrap();
    gate.go.notify_one();
    world.until(id, TaskState::Cancelled).await;
    acknowledged(&world, id).await;
    worker.stopped().await;
    assert!(notices(&world).await.is_empty());
}

#[tokio::test]
async fn tasks_that_never_ran_have_a_notice_each_however_often_they_come() {
    let world = World::new().await;
    let worker = world.work(Vec::new(), noticing);
    let unknown = world.publish("nobody.knows", "default").await;
    world.until(unknown, TaskState::Scheduled).await;
    while world.promote().await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let record = world.until(unknown, TaskState::Dead).await;
    // The broker delivers it once more.
    let message = record.message.encode();
    let again = Outgoing { queue: QueueName::default_queue(), message };
    world.transport.publish(vec![again]).await.unwrap();
    until("all are acknowledged", || world.log.count(|event| *event == Event::Acknowledged(unknown)) == 3)
        .await;
    worker.stopped().await;
    let told: Vec<_> = notices(&world).await.into_iter().map(|(_, about)| about).collect();
    assert_eq!(told, [unknown]);
}

#[tokio::test]
async fn a_notice_that_is_dead_makes_no_other() {
    let world = World::new().await;
    let worker = world.work(vec![fails(DEAD_NOTICE).retry(RetryPolicy::never())], noticing);
    let id = world.publish(DEAD_NOTICE, "default").await;
    world.until(id, TaskState::Dead).await;
    worker.stopped().await;
    let filter = TaskFilter { name: Some(TaskName::new(DEAD_NOTICE).unwrap()), ..TaskFilter::default() };
    assert_eq!(world.truth.inspect.list(filter, None, 100).await.unwrap().tasks.len(), 1, "itself");
}

#[tokio::test]
async fn a_notice_that_the_ledger_refuses_does_not_keep_its_task_alive() {
    let world = World::new().await;
    world.ledger.refuse_then.store(true, Ordering::SeqCst);
    let worker = world.work(vec![fails("fails").retry(RetryPolicy::never())], noticing);
    let id = world.publish("fails", "default").await;
    let record = world.until(id, TaskState::Dead).await;
    assert_eq!(record.error.unwrap().message, "no");
    assert!(notices(&world).await.is_empty());
    worker.stopped().await;
}
