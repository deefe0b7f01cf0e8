//! What hooks are told by a worker: what the ledger has, once, and never in the way of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use upbeat_shared::client::NewTask;
use upbeat_shared::hook::{Dead, Hooks, Retry};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Action, SettleAnswer};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::name::{QueueName, TaskName};
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::Outgoing;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_worker::executor::native::native;
use upbeat_worker::{TaskDefinition, TaskError, WorkerOptions};

use crate::faults::Event;
use crate::jobs::obedient;
use crate::world::{RunningWorker, World, until};

/// What the hooks were told.
#[derive(Clone, Default)]
struct Told {
    retries: Arc<Mutex<Vec<Retry>>>,
    dead: Arc<Mutex<Vec<Dead>>>,
}

impl Told {
    fn hooks(&self) -> Hooks {
        let (retries, dead) = (self.retries.clone(), self.dead.clone());
        Hooks::new()
            .on_retry(move |retry| {
                retries.lock().unwrap().push(retry);
                async {}
            })
            .on_dead(move |event| {
                dead.lock().unwrap().push(event);
                async {}
            })
    }

    fn counts(&self) -> (usize, usize) {
        (self.retries.lock().unwrap().len(), self.dead.lock().unwrap().len())
    }

    fn work(&self, world: &World, tasks: Vec<TaskDefinition>) -> RunningWorker {
        world.work_with(tasks, |_| {}, |worker| worker.hooks(self.hooks()))
    }
}

/// Fails always.
pub(crate) fn fails(name: &str) -> TaskDefinition {
    native(TaskName::new(name).unwrap(), |(): (), _| async { Err::<(), _>(TaskError::Retry("no".into())) })
}

/// Tells when its run has begun, and lets it go on.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    pub(crate) begun: Arc<Notify>,
    pub(crate) go: Arc<Notify>,
}

/// Fails for good when it is let go on.
pub(crate) fn gives_up_later(name: &str) -> (TaskDefinition, Gate) {
    let gate = Gate::default();
    let inside = gate.clone();
    let task = native(TaskName::new(name).unwrap(), move |(): (), _| {
        let gate = inside.clone();
        async move {
            gate.begun.notify_one();
            gate.go.notified().await;
            Err::<(), _>(TaskError::GiveUp("no".into()))
        }
    });
    (task, gate)
}

pub(crate) async fn acknowledged(world: &World, id: TaskId) {
    until("the acknowledgement", || world.log.count(|event| *event == Event::Acknowledged(id)) > 0).await;
}

pub(crate) async fn publish_tagged(world: &World, name: &str) -> TaskId {
    let args = Payload::json(&serde_json::Value::Null).unwrap();
    let mut task = NewTask::new(TaskName::new(name).unwrap(), args);
    task.tags = vec!["tenant:acme".into()];
    world.client.publish(task).await.unwrap().id()
}

#[tokio::test]
async fn a_task_that_exhausts_its_attempts_is_told_of_as_retried_and_then_as_dead() {
    let world = World::new().await;
    let told = Told::default();
    let twice = RetryPolicy { max_attempts: 2, ..RetryPolicy::never() };
    let worker = told.work(&world, vec![fails("fails").retry(twice)]);
    let id = publish_tagged(&world, "fails").await;
    world.until(id, TaskState::Scheduled).await;
    while world.promote().await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.until(id, TaskState::Dead).await;
    worker.stopped().await;

    assert_eq!(told.counts(), (1, 1));
    let retry = told.retries.lock().unwrap()[0].clone();
    assert_eq!((retry.id(), retry.attempt, retry.delay), (id, 1, Duration::ZERO));
    let dead = told.dead.lock().unwrap()[0].clone();
    assert_eq!((dead.id(), dead.attempts, dead.crashes), (id, 2, 0));
    assert_eq!((dead.error.kind, dead.error.message.as_str()), (RunErrorKind::Failed, "no"));
    assert_eq!(
        (dead.message.name.as_str(), dead.message.tags.as_slice()),
        ("fails", &["tenant:acme".to_owned()][..])
    );
    assert!(dead.at.is_some());
}

#[tokio::test]
async fn what_was_cancelled_meanwhile_is_not_told_of_as_dead() {
    let world = World::new().await;
    let told = Told::default();
    let quick = |options: &mut WorkerOptions| options.lease = Duration::from_secs(1);
    let gives_up = native(TaskName::new("gives.up").unwrap(), |(): (), run| async move {
        run.cancel.cancelled().await;
        Err::<(), _>(TaskError::GiveUp("told to".into()))
    });
    let worker =
        world.work_with(vec![obedient("waits"), gives_up], quick, |worker| worker.hooks(told.hooks()));
    for name in ["waits", "gives.up"] {
        let id = world.publish(name, "default").await;
        world.until(id, TaskState::Running).await;
        world.truth.inspect.act(vec![id], Action::Cancel { reason: "not needed".into() }).await.unwrap();
        world.until(id, TaskState::Cancelled).await;
    }
    worker.stopped().await;
    assert_eq!(told.counts(), (0, 0));
}

#[tokio::test]
async fn a_failure_that_a_cancel_overrules_is_not_told_of() {
    let world = World::new().await;
    let told = Told::default();
    let (gives_up, gate) = gives_up_later("gives.up");
    let worker = told.work(&world, vec![gives_up]);
    let id = world.publish("gives.up", "default").await;
    gate.begun.notified().await;
    // Before the worker hears of it, by its next heartbeat in three seconds.
    world.truth.inspect.act(vec![id], Action::Cancel { reason: "not needed".into() }).await.unwrap();
    gate.go.notify_one();
    world.until(id, TaskState::Cancelled).await;
    acknowledged(&world, id).await;
    worker.stopped().await;
    assert_eq!(told.counts(), (0, 0));
}

#[tokio::test]
async fn a_verdict_whose_answer_got_lost_is_told_of_once() {
    let world = World::new().await;
    let told = Told::default();
    let once = fails("fails").retry(RetryPolicy::never());
    let worker = told.work(&world, vec![once]);
    until("the worker", || worker.health.ready()).await;
    world.ledger.lose.lock().unwrap().push_back("settle");
    let id = world.publish("fails", "default").await;
    let again = Event::Settled(id, SettleAnswer::AlreadySettled);
    until("the repeated settle", || world.log.count(|event| *event == again) == 1).await;
    worker.stopped().await;
    assert_eq!(told.counts(), (0, 1));
}

#[tokio::test]
async fn a_verdict_that_another_claim_outran_is_not_told_of() {
    let world = World::new().await;
    let told = Told::default();
    let (fails, gate) = gives_up_later("fails");
    let worker = told.work(&world, vec![fails]);
    let id = world.publish("fails", "default").await;
    gate.begun.notified().await;
    let record = world.until(id, TaskState::Running).await;
    let mine = world.truth.ledger.mine(record.owner.unwrap()).await.unwrap();
    world.truth.ledger.release(record.owner.unwrap(), mine).await.unwrap();
    gate.go.notify_one();
    let stale = Event::Settled(id, SettleAnswer::Stale);
    until("the refused settle", || world.log.count(|event| *event == stale) == 1).await;
    worker.stopped().await;
    assert_eq!(told.counts(), (0, 0));
}

#[tokio::test]
async fn a_name_that_stays_unknown_is_told_of_as_dead() {
    let world = World::new().await;
    let told = Told::default();
    let impatient = |options: &mut WorkerOptions| {
        options.unknown_name.delay = Duration::ZERO;
        options.unknown_name.dead_after = Duration::ZERO;
    };
    let worker = world.work_with(Vec::new(), impatient, |worker| worker.hooks(told.hooks()));
    let id = world.publish("nobody.knows", "default").await;
    world.until(id, TaskState::Scheduled).await;
    assert_eq!(told.counts(), (0, 0), "it waits for another worker");
    while world.promote().await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.until(id, TaskState::Dead).await;
    worker.stopped().await;
    let dead = told.dead.lock().unwrap().clone();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].id(), dead[0].error.kind), (id, RunErrorKind::UnknownName));
}

#[tokio::test]
async fn a_message_that_comes_too_late_is_told_of_as_dead() {
    let world = World::new().await;
    let told = Told::default();
    let worker = told.work(&world, vec![fails("fails")]);
    until("the worker", || worker.health.ready()).await;
    let id = TaskId::new("2026-05-01T00:00:00Z".parse().unwrap());
    let args = Payload::json(&serde_json::Value::Null).unwrap();
    let mut message = Message::new(id, TaskName::new("fails").unwrap(), QueueName::default_queue(), args);
    message.first_published = Some("2020-01-01T00:00:00Z".parse().unwrap());
    let outgoing = Outgoing { queue: QueueName::default_queue(), message: message.encode() };
    world.transport.publish(vec![outgoing]).await.unwrap();
    world.until(id, TaskState::Dead).await;
    acknowledged(&world, id).await;
    worker.stopped().await;
    let dead = told.dead.lock().unwrap().clone();
    assert_eq!((dead.len(), dead[0].id(), dead[0].error.kind), (1, id, RunErrorKind::Stale));
}

#[tokio::test]
async fn hooks_that_hang_or_panic_hold_up_no_settle() {
    let world = World::new().await;
    let hooks = Hooks::new()
        .on_dead(|_| std::future::pending::<()>())
        .on_dead(|dead| async move { panic!("{} is too much", dead.id()) });
    let once = fails("fails").retry(RetryPolicy::never());
    let worker = world.work_with(vec![once], |_| {}, |worker| worker.hooks(hooks));
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(world.publish("fails", "default").await);
    }
    for id in ids {
        world.until(id, TaskState::Dead).await;
        acknowledged(&world, id).await;
    }
    assert_eq!(worker.stopped().await, upbeat_worker::WorkerReport::default());
}

#[tokio::test]
async fn what_hooks_are_told_last_they_finish_before_the_worker_has_ended() {
    let world = World::new().await;
    let (begun, ended) = (Arc::new(Notify::new()), Arc::new(Mutex::new(0)));
    let hooks = Hooks::new().on_dead({
        let (begun, ended) = (begun.clone(), ended.clone());
        move |_| {
            let (begun, ended) = (begun.clone(), ended.clone());
            async move {
                begun.notify_one();
                tokio::time::sleep(Duration::from_millis(200)).await;
                *ended.lock().unwrap() += 1;
            }
        }
    });
    let once = fails("fails").retry(RetryPolicy::never());
    let worker = world.work_with(vec![once], |_| {}, |worker| worker.hooks(hooks));
    world.publish("fails", "default").await;
    begun.notified().await;
    worker.stopped().await;
    assert_eq!(*ended.lock().unwrap(), 1);
}
