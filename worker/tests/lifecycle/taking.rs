//! From which queues work is taken, and how much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use upbeat_shared::name::{QueueName, TaskName};
use upbeat_shared::task::TaskState;
use upbeat_worker::TaskDefinition;
use upbeat_worker::executor::native::native;

use crate::faults::Event;
use crate::jobs::counting;
use crate::world::{World, until};

fn queues(names: &[(&str, u32)]) -> Vec<(QueueName, u32)> {
    names.iter().map(|(name, weight)| (QueueName::new(name).unwrap(), *weight)).collect()
}

/// Runs until it gets a permit.
fn gated(name: &str, permits: &Arc<Semaphore>) -> TaskDefinition {
    let permits = permits.clone();
    native(TaskName::new(name).unwrap(), move |(): (), _| {
        let permits = permits.clone();
        async move {
            permits.acquire().await.expect("never closed").forget();
            Ok(())
        }
    })
}

#[tokio::test]
async fn a_paused_queue_is_left_alone_until_it_goes_on() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let queue = QueueName::default_queue();
    world.truth.inspect.pause(queue.clone(), true).await.unwrap();
    let worker = world.work(vec![counting("count", &runs)], |options| {
        options.queues = queues(&[("default", 1), ("other", 1)]);
        options.lease = std::time::Duration::from_secs(1);
    });
    let paused = world.publish("count", "default").await;
    let other = world.publish("count", "other").await;
    world.until(other, TaskState::Succeeded).await;
    assert_eq!(world.task(paused).await, None);
    world.truth.inspect.pause(queue, false).await.unwrap();
    world.until(paused, TaskState::Succeeded).await;
    worker.stopped().await;
}

#[tokio::test]
async fn no_more_tasks_run_than_there_are_slots() {
    let world = World::new().await;
    let permits = Arc::new(Semaphore::new(0));
    let worker = world.work(vec![gated("gated", &permits)], |options| options.concurrency = 3);
    for _ in 0..10 {
        world.publish("gated", "default").await;
    }
    let claimed = || world.log.count(|event| matches!(event, Event::Claimed(_)));
    until("three runs", || worker.health.running() == 3).await;
    assert_eq!(claimed(), 3);
    permits.add_permits(1);
    until("the next run", || claimed() == 4).await;
    permits.add_permits(9);
    until("the last run", || claimed() == 10).await;
    worker.stopped().await;
}

#[tokio::test]
async fn what_gets_no_slot_goes_back_and_another_worker_runs_it() {
    let world = World::new().await;
    let (permits, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let busy = world.work(vec![gated("gated", &permits), counting("count", &runs)], |options| {
        options.queues = queues(&[("long", 1), ("short", 1)]);
        options.concurrency = 1;
    });
    let long = world.publish("gated", "long").await;
    world.until(long, TaskState::Running).await;
    let short = world.publish("count", "short").await;
    until("the delivery to go back", || world.log.count(|event| *event == Event::GivenBack(short)) == 1)
        .await;
    let free = world.work(vec![counting("count", &runs)], |options| options.queues = queues(&[("short", 1)]));
    world.until(short, TaskState::Succeeded).await;
    assert_eq!(world.task(long).await.unwrap().state, TaskState::Running);
    free.stopped().await;
    // Its turn at the slot comes when the long task ends, and then it takes from the short queue again.
    permits.add_permits(1);
    world.until(long, TaskState::Succeeded).await;
    let next = world.publish("count", "short").await;
    world.until(next, TaskState::Succeeded).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    busy.stopped().await;
}
