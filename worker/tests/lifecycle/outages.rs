//! A ledger that is away, answers that get lost, and leases that could not be renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use upbeat_shared::ledger::{Lost, SettleAnswer};
use upbeat_shared::member::Heartbeat;
use upbeat_shared::name::TaskName;
use upbeat_shared::task::TaskState;
use upbeat_worker::executor::native::native;

use crate::faults::Event;
use crate::jobs::{counting, obedient};
use crate::world::{World, until};

#[tokio::test]
async fn a_claim_whose_answer_got_lost_is_released_and_its_task_runs() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.work(vec![counting("count", &runs)], |_| {});
    until("the worker", || worker.health.ready()).await;
    world.ledger.lose.lock().unwrap().push_back("claim");
    let id = world.publish("count", "default").await;
    let record = world.until(id, TaskState::Scheduled).await;
    assert_eq!((record.message.attempts, record.message.crashes), (0, 0), "nothing is counted");
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    world.promote().await;
    world.until(id, TaskState::Succeeded).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    worker.stopped().await;
}

#[tokio::test]
async fn a_verdict_waits_for_the_ledger_and_its_task_runs_once() {
    let world = World::new().await;
    let (runs, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let task = native(TaskName::new("waits").unwrap(), {
        let (runs, go) = (runs.clone(), go.clone());
        move |(): (), _| {
            let (runs, go) = (runs.clone(), go.clone());
            async move {
                go.notified().await;
                runs.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    });
    let worker = world.work(vec![task], |_| {});
    let id = world.publish("waits", "default").await;
    world.until(id, TaskState::Running).await;
    until("the run to start", || worker.health.running() == 1).await;
    world.set_down(true);
    go.notify_one();
    until("the run to end", || worker.health.running() == 0).await;
    until("the worker to notice", || !worker.health.ready()).await;
    world.set_down(false);
    world.until(id, TaskState::Succeeded).await;
    until("the acknowledgement", || world.log.count(|event| *event == Event::Acknowledged(id)) == 1).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    worker.stopped().await;
}

#[tokio::test]
async fn a_settle_whose_answer_got_lost_is_repeated_without_harm() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.work(vec![counting("count", &runs)], |_| {});
    until("the worker", || worker.health.ready()).await;
    world.ledger.lose.lock().unwrap().push_back("settle");
    let id = world.publish("count", "default").await;
    let again = Event::Settled(id, SettleAnswer::AlreadySettled);
    until("the repeated settle", || world.log.count(|event| *event == again) == 1).await;
    until("the acknowledgement", || world.log.count(|event| *event == Event::Acknowledged(id)) == 1).await;
    worker.stopped().await;
}

#[tokio::test]
async fn a_verdict_that_the_ledger_refuses_holds_up_no_other() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let answers = native(TaskName::new("answers").unwrap(), |(): (), _| async { Ok(42) });
    let worker = world.work(vec![answers, counting("count", &runs)], |_| {});
    world.ledger.refuse_results.store(true, Ordering::SeqCst);
    let refused = world.publish("answers", "default").await;
    let other = world.publish("count", "default").await;
    world.until(other, TaskState::Succeeded).await;
    let record = world.until(refused, TaskState::Succeeded).await;
    assert_eq!(record.result, None);
    worker.stopped().await;
}

#[tokio::test]
async fn no_work_is_taken_while_the_ledger_is_away() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.work(vec![counting("count", &runs)], |options| options.lease = Duration::from_secs(1));
    until("the worker", || worker.health.ready()).await;
    world.set_down(true);
    until("the worker to notice", || !worker.health.ready()).await;
    let id = world.publish("count", "default").await;
    // Long enough for several heartbeats to fail.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let depth = world.transport.depth(&"default".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((depth.ready, depth.unacknowledged), (1, Some(0)), "its delivery is with the broker");
    world.set_down(false);
    world.until(id, TaskState::Succeeded).await;
    worker.stopped().await;
}

#[tokio::test]
async fn runs_are_stopped_and_released_when_the_lease_cannot_be_renewed() {
    let world = World::new().await;
    let worker = world.work(vec![obedient("waits")], |options| options.lease = Duration::from_secs(1));
    let id = world.publish("waits", "default").await;
    world.until(id, TaskState::Running).await;
    until("the run to start", || worker.health.running() == 1).await;
    world.set_down(true);
    until("the run to be stopped", || worker.health.running() == 0).await;
    world.set_down(false);
    let record = world.until(id, TaskState::Scheduled).await;
    assert_eq!((record.message.attempts, record.message.crashes), (0, 0), "nothing is counted");
    worker.stopped().await;
}

#[tokio::test]
async fn a_worker_that_was_declared_lost_stops_its_runs_and_comes_back_anew() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let tasks = vec![obedient("waits"), counting("count", &runs)];
    let worker = world.work(tasks, |options| options.lease = Duration::from_secs(5));
    let id = world.publish("waits", "default").await;
    let record = world.until(id, TaskState::Running).await;
    let owner = record.owner.unwrap();
    // A beat looked at the counter; it has not moved since.
    loop {
        let member = world.truth.inspect.members().await.unwrap();
        let member = member.into_iter().find(|member| member.owner == owner).unwrap();
        if member.retired {
            break;
        }
        let pulses = beat(&world).await;
        let counter = pulses.iter().find(|(of, _)| *of == owner).unwrap().1;
        world.truth.agenda.reap(vec![Lost { owner, counter }], 3).await.unwrap();
    }
    // Its task is due again at once, a crash counted, although its run has not ended.
    let record = world.until(id, TaskState::Scheduled).await;
    assert_eq!(record.message.crashes, 1);
    let stale = Event::Settled(id, SettleAnswer::Stale);
    until("the refused verdict", || world.log.count(|event| *event == stale) == 1).await;
    let next = world.publish("count", "default").await;
    let record = world.until(next, TaskState::Succeeded).await;
    assert_ne!(record.owner, Some(owner));
    worker.stopped().await;
}

/// A beat's heartbeat, for what it says of the others.
async fn beat(world: &World) -> Vec<(upbeat_shared::id::OwnerId, u64)> {
    let heartbeat = Heartbeat {
        owner: upbeat_shared::id::OwnerId::random(),
        role: upbeat_shared::member::Role::Beat,
        counter: 1,
        lease: Duration::from_secs(5),
        info: upbeat_shared::member::MemberInfo::default(),
    };
    let answer = world.truth.ledger.heartbeat(heartbeat).await.unwrap();
    answer.pulses.into_iter().map(|pulse| (pulse.owner, pulse.counter)).collect()
}
