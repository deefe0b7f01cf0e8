//! Handlers that block their thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use upbeat_shared::clock;
use upbeat_shared::ledger::Action;
use upbeat_shared::name::TaskName;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_worker::executor::blocking::blocking;
use upbeat_worker::{RunContext, TaskDefinition, TaskError, WorkerOptions};

use crate::jobs::counting;
use crate::world::{World, until};

/// Keeps a core busy until it is let go; counts its runs, and those at it now.
#[derive(Clone, Default)]
struct Spin {
    begun: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    let_go: Arc<AtomicBool>,
}

impl Spin {
    fn task(&self, name: &str) -> TaskDefinition {
        let spin = self.clone();
        blocking(TaskName::new(name).unwrap(), move |(): (), _| {
            spin.begun.fetch_add(1, Ordering::SeqCst);
            spin.now.fetch_add(1, Ordering::SeqCst);
            while !spin.let_go.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            spin.now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn let_go(&self) {
        self.let_go.store(true, Ordering::SeqCst);
    }
}

/// However a test ends, its threads end with it.
impl Drop for Spin {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.let_go();
        }
    }
}

fn short(options: &mut WorkerOptions) {
    options.blocking_threads = 1;
    options.lease = Duration::from_secs(1);
    options.cancel_grace = Duration::from_millis(20);
}

#[tokio::test]
async fn heartbeats_and_async_handlers_go_on_beside_handlers_that_spin_for_longer_than_a_lease() {
    let world = World::new().await;
    let (spin, runs) = (Spin::default(), Arc::new(AtomicUsize::new(0)));
    let worker = world.work(vec![spin.task("spin"), counting("count", &runs)], short);
    let spinning = [world.publish("spin", "default").await, world.publish("spin", "default").await];
    until("one of them spins", || spin.begun() == 1).await;
    let before = world.heartbeats().await;
    let mut done = 0;
    // Each takes a fifth of a lease: these are two leases.
    while world.heartbeats().await < before + 10 {
        world.publish("count", "default").await;
        done += 1;
        until("an async handler runs", || runs.load(Ordering::SeqCst) == done).await;
    }
    assert_eq!(spin.begun(), 1, "there is one thread");
    spin.let_go();
    for id in spinning {
        let record = world.until(id, TaskState::Succeeded).await;
        assert_eq!((record.message.attempts, record.message.crashes), (0, 0));
    }
    assert_eq!(worker.stopped().await.abandoned, 0);
}

#[tokio::test]
async fn the_time_of_a_run_counts_from_when_it_has_its_thread() {
    let world = World::new().await;
    let spin = Spin::default();
    let remaining = Arc::new(Mutex::new(None));
    let seen = remaining.clone();
    let waits = blocking(TaskName::new("waits").unwrap(), move |(): (), run: RunContext| {
        *seen.lock().unwrap() = Some(run.remaining());
        Ok(())
    });
    let limit = Duration::from_millis(300);
    let worker = world.work(vec![spin.task("spin"), waits.timeout(limit)], short);
    let first = world.publish("spin", "default").await;
    until("it spins", || spin.begun() == 1).await;
    let second = world.publish("waits", "default").await;
    let started = world.until(second, TaskState::Running).await.started_at.unwrap();
    // Longer than its timeout.
    while world.truth.ledger.now().await.unwrap() < clock::later(started, limit * 2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.task(second).await.unwrap().state, TaskState::Running);
    spin.let_go();
    world.until(first, TaskState::Succeeded).await;
    world.until(second, TaskState::Succeeded).await;
    let left = remaining.lock().unwrap().unwrap();
    assert!(left > limit / 2, "its deadline counts from the same instant: {left:?} are left");
    worker.stopped().await;
}

#[tokio::test]
async fn a_handler_that_asks_whether_it_should_stop_is_cancelled() {
    let world = World::new().await;
    let polls = blocking(TaskName::new("polls").unwrap(), |(): (), run: RunContext| -> Result<(), _> {
        while !run.cancel.is_cancelled() {
            std::thread::yield_now();
        }
        Err(TaskError::from("told to stop"))
    });
    let worker = world.work(vec![polls], short);
    let id = world.publish("polls", "default").await;
    world.until(id, TaskState::Running).await;
    let waiting = world.publish("polls", "default").await;
    world.until(waiting, TaskState::Running).await;
    // The second one waits for the thread: it is told to stop all the same.
    for id in [waiting, id] {
        world.truth.inspect.act(vec![id], Action::Cancel { reason: "not needed".into() }).await.unwrap();
        world.until(id, TaskState::Cancelled).await;
    }
    worker.stopped().await;
}

#[tokio::test]
async fn a_handler_that_does_not_obey_keeps_its_claim_and_its_thread_until_it_returns() {
    let world = World::new().await;
    let spin = Spin::default();
    let task = spin.task("spin").timeout(Duration::from_millis(50));
    let worker = world.work(vec![task], short);
    let id = world.publish("spin", "default").await;
    until("it spins", || spin.begun() == 1).await;
    let started = world.until(id, TaskState::Running).await.started_at.unwrap();
    // Its timeout, its grace and more than its lease are over.
    while world.truth.ledger.now().await.unwrap() < clock::later(started, Duration::from_millis(1500)) {
        assert_eq!(world.task(id).await.unwrap().state, TaskState::Running);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((spin.begun(), spin.now.load(Ordering::SeqCst), worker.health.running()), (1, 1, 1));
    // It succeeds after all, and that stands.
    spin.let_go();
    world.until(id, TaskState::Succeeded).await;
    worker.stopped().await;
    assert_eq!(spin.begun(), 1);
}

#[tokio::test]
async fn a_panic_is_a_failure_and_its_thread_goes_on() {
    let world = World::new().await;
    let panics = blocking(TaskName::new("panics").unwrap(), |(): (), run: RunContext| {
        assert!(run.attempt > 1, "boom");
        Ok(())
    });
    let spin = Spin::default();
    spin.let_go();
    let worker = world.work(vec![panics, spin.task("spin")], short);
    let id = world.publish("panics", "default").await;
    let error = world.until(id, TaskState::Scheduled).await.error.unwrap();
    assert_eq!((error.kind, error.message.as_str()), (RunErrorKind::Panicked, "boom"));
    let after = world.publish("spin", "default").await;
    world.until(after, TaskState::Succeeded).await;
    worker.stopped().await;
}

#[tokio::test]
async fn a_worker_that_stops_tells_of_handlers_that_do_not_and_keeps_their_name() {
    let world = World::new().await;
    let spin = Spin::default();
    let worker = world.work(vec![spin.task("spin")], |options| {
        short(options);
        options.grace = Duration::from_millis(50);
    });
    let id = world.publish("spin", "default").await;
    until("it spins", || spin.begun() == 1).await;
    let waiting = world.publish("spin", "default").await;
    world.until(waiting, TaskState::Running).await;
    let report = worker.stopped().await;
    assert_eq!((report.stopped, report.abandoned), (2, 1));
    // The one that had no thread yet is given back; the other one's owner is there until a beat finds it lost.
    let given_back = world.task(waiting).await.unwrap();
    assert_eq!((given_back.state, given_back.message.attempts), (TaskState::Scheduled, 0));
    assert_eq!(world.task(id).await.unwrap().state, TaskState::Running);
    assert_eq!(world.truth.inspect.members().await.unwrap().len(), 1);
    spin.let_go();
    until("its thread is free", || spin.now.load(Ordering::SeqCst) == 0).await;
}
