//! What becomes of single tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use upbeat_shared::ledger::{Action, SettleAnswer};
use upbeat_shared::message::{Payload, WireMessage};
use upbeat_shared::name::{QueueName, TaskName};
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::Outgoing;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_worker::executor::native::native;
use upbeat_worker::{TaskDefinition, TaskError};

use crate::faults::Event;
use crate::world::{World, until};

/// Counts its runs.
pub(crate) fn counting(name: &str, runs: &Arc<AtomicUsize>) -> TaskDefinition {
    let runs = runs.clone();
    native(TaskName::new(name).unwrap(), move |(): (), _| {
        runs.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    })
}

/// Runs until it is told to stop, and then fails.
pub(crate) fn obedient(name: &str) -> TaskDefinition {
    native(TaskName::new(name).unwrap(), |(): (), run| async move {
        run.cancel.cancelled().await;
        Err::<(), _>(TaskError::Retry("interrupted".into()))
    })
}

/// Runs for ever, whatever it is told.
pub(crate) fn stubborn(name: &str) -> TaskDefinition {
    native(TaskName::new(name).unwrap(), |(): (), _| std::future::pending::<Result<(), TaskError>>())
}

#[tokio::test]
async fn every_task_runs_once_and_is_settled_before_it_is_acknowledged() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.work(vec![counting("count", &runs)], |_| {});
    for _ in 0..100 {
        world.publish("count", "default").await;
    }
    let acknowledged = |event: &Event| matches!(event, Event::Acknowledged(_));
    until("100 acknowledgements", || world.log.count(acknowledged) == 100).await;
    worker.stopped().await;
    assert_eq!(runs.load(Ordering::SeqCst), 100);
    let events = world.log.events();
    for (index, event) in events.iter().enumerate() {
        if let Event::Acknowledged(id) = event {
            let settled = Event::Settled(*id, SettleAnswer::Applied(TaskState::Succeeded));
            assert!(events[..index].contains(&settled), "{id} was acknowledged before it was settled");
        }
    }
}

#[tokio::test]
async fn a_second_message_of_a_task_does_not_run_it_again() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.work(vec![counting("count", &runs)], |_| {});
    let id = world.publish("count", "default").await;
    let record = world.until(id, TaskState::Succeeded).await;
    let message = record.message.encode();
    let again = Outgoing { queue: QueueName::default_queue(), message };
    world.transport.publish(vec![again]).await.unwrap();
    until("both acknowledged", || world.log.count(|event| *event == Event::Acknowledged(id)) == 2).await;
    worker.stopped().await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_run_out_of_time_and_a_panic_are_failures() {
    let world = World::new().await;
    let panics = native(TaskName::new("panics").unwrap(), |(): (), run| async move {
        assert!(run.attempt > 1, "boom");
        Ok(())
    });
    let slow = stubborn("slow").timeout(Duration::from_millis(50));
    let worker = world.work(vec![slow, panics], |options| options.cancel_grace = Duration::from_millis(50));
    let slow = world.publish("slow", "default").await;
    let panics = world.publish("panics", "default").await;
    let record = world.until(slow, TaskState::Scheduled).await;
    let error = record.error.unwrap();
    assert_eq!((record.message.attempts, error.kind), (1, RunErrorKind::TimedOut));
    let record = world.until(panics, TaskState::Scheduled).await;
    let error = record.error.unwrap();
    assert_eq!((error.kind, error.message.as_str()), (RunErrorKind::Panicked, "boom"));
    worker.stopped().await;
}

#[tokio::test]
async fn a_cancelled_task_is_told_to_stop() {
    let world = World::new().await;
    let worker = world.work(vec![obedient("waits")], |options| options.lease = Duration::from_secs(1));
    let id = world.publish("waits", "default").await;
    world.until(id, TaskState::Running).await;
    world.truth.inspect.act(vec![id], Action::Cancel { reason: "not needed".into() }).await.unwrap();
    let record = world.until(id, TaskState::Cancelled).await;
    assert_eq!(record.message.attempts, 0);
    worker.stopped().await;
}

#[tokio::test]
async fn a_task_of_unknown_name_is_parked() {
    let world = World::new().await;
    let worker = world.work(Vec::new(), |_| {});
    let id = world.publish("nobody.knows", "default").await;
    let record = world.until(id, TaskState::Scheduled).await;
    assert_eq!(record.note.as_deref(), Some("no worker knows its name"));
    until("the acknowledgement", || world.log.count(|event| *event == Event::Acknowledged(id)) == 1).await;
    worker.stopped().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_understood_is_set_aside_with_its_bytes() {
    let world = World::new().await;
    let worker = world.work(Vec::new(), |_| {});
    until("the worker", || worker.health.ready()).await;
    let message = WireMessage { body: "what is this".into(), ..WireMessage::default() };
    let queue = QueueName::default_queue();
    world.transport.publish(vec![Outgoing { queue: queue.clone(), message }]).await.unwrap();
    let mut aside = world.transport.consume(&QueueName::undeliverable(), 1).await.unwrap();
    let delivery = aside.next(1).await.unwrap().pop().unwrap();
    assert_eq!(delivery.message.body, "what is this");
    let reason = delivery.message.headers.iter().find(|(name, _)| name == "upbeat-undeliverable-reason");
    assert!(format!("{reason:?}").contains("must name the task"));
    worker.stopped().await;
    let depth = world.transport.depth(&queue).await.unwrap().unwrap();
    assert_eq!((depth.ready, depth.unacknowledged), (0, Some(0)));
}

#[tokio::test]
async fn a_message_without_an_id_runs_under_a_new_one() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.work(vec![counting("count", &runs)], |_| {});
    until("the worker", || worker.health.ready()).await;
    let body = Payload::json(&serde_json::Value::Null).unwrap().bytes;
    let message = WireMessage { kind: Some("count".into()), body, ..WireMessage::default() };
    world.transport.publish(vec![Outgoing { queue: QueueName::default_queue(), message }]).await.unwrap();
    while world.promote().await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until("the run", || runs.load(Ordering::SeqCst) == 1).await;
    worker.stopped().await;
}
