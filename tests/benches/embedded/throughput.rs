//! Publish, drain, and both at once, through the real client and the real worker.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use upbeat::client::{Client, ClientOptions, NewTask};
use upbeat::clock::{Clock, StoreClock, SystemClock};
use upbeat::ledger::Store;
use upbeat::ledger::embedded::{EmbeddedLedger, EmbeddedOptions};
use upbeat::message::Payload;
use upbeat::name::{QueueName, TaskName};
use upbeat::native;
use upbeat::task::TaskState;
use upbeat::transport::Transport;
use upbeat::transport::embedded::EmbeddedTransport;
use upbeat::worker::{Registry, Worker, WorkerOptions};

use super::report;

/// Publishers at once, each with batches of [`BATCH`].
const PUBLISHERS: usize = 4;
const BATCH: usize = 500;

/// One process's ports over a file.
pub(crate) struct World {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn open(directory: &Path) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let path = directory.join("default.sqlite3");
        let file =
            upbeat::sqlite::SqliteFile::open(&path, clock.clone()).expect("a file in an empty directory");
        let ledger =
            EmbeddedLedger::open(file.clone(), EmbeddedOptions::default()).await.expect("a new ledger");
        let store = Store::from_adapter(ledger);
        let transport: Arc<dyn Transport> = EmbeddedTransport::open(file).await.expect("a new transport");
        let clock = Arc::new(StoreClock::new(clock));
        let client = Client::new(transport.clone(), store.clone(), clock.clone(), ClientOptions::default());
        transport.declare(&[QueueName::default_queue()]).await.expect("a queue");
        Self { transport, store, clock, client }
    }

    pub(crate) fn worker(&self, registry: Registry, concurrency: u32) -> Worker {
        let options = WorkerOptions { concurrency, ..WorkerOptions::default() };
        let (transport, store) = (self.transport.clone(), self.store.clone());
        Worker::new(transport, store, self.clock.clone(), self.client.clone(), registry, options)
    }

    /// Publishes from several tasks at once, and waits until all are accepted.
    pub(crate) async fn publish(&self, name: &str, tasks: usize) {
        let name = TaskName::new(name).expect("a name");
        let body = Payload::json(&"x".repeat(254)).expect("text is JSON");
        let publishers = (0..PUBLISHERS).map(|_| {
            let (client, name, body) = (self.client.clone(), name.clone(), body.clone());
            tokio::spawn(async move {
                for _ in 0..tasks / PUBLISHERS / BATCH {
                    let batch = (0..BATCH).map(|_| NewTask::new(name.clone(), body.clone())).collect();
                    client.publish_many(batch).await.expect("an accepted batch");
                }
            })
        });
        for publisher in publishers.collect::<Vec<_>>() {
            publisher.await.expect("a publisher that does not panic");
        }
    }

    /// Waits until so many tasks are in this state, by the ledger's own counts.
    pub(crate) async fn until(&self, state: TaskState, tasks: usize) {
        loop {
            let queues = self.store.inspect.queues().await.expect("counts");
            let count: u64 = queues
                .iter()
                .flat_map(|queue| &queue.counts)
                .filter(|(of, _)| *of == state)
                .map(|(_, n)| n)
                .sum();
            if count >= tasks as u64 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn measure(tasks: usize, raw: f64) {
    let tasks = tasks / (PUBLISHERS * BATCH) * PUBLISHERS * BATCH;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(one_after_the_other(tasks, raw));
    runtime.block_on(at_once(tasks, raw));
}

/// No-op tasks that count their runs.
fn noop(runs: &Arc<AtomicUsize>) -> Registry {
    let runs = runs.clone();
    let mut registry = Registry::new();
    let task = native("noop", move |_: String, _run| {
        runs.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    registry.add(task).expect("one task");
    registry
}

async fn one_after_the_other(tasks: usize, raw: f64) {
    let world = World::open(&super::directory("bench-sequence")).await;
    let started = Instant::now();
    world.publish("noop", tasks).await;
    report::rate("publish, recorded and confirmed", rate(tasks, started), raw);
    let started = Instant::now();
    drain(&world, tasks).await;
    report::rate("drain: claim, run, settle, acknowledge", rate(tasks, started), raw);
}

async fn at_once(tasks: usize, raw: f64) {
    let world = World::open(&super::directory("bench-at-once")).await;
    let started = Instant::now();
    tokio::join!(world.publish("noop", tasks), drain(&world, tasks));
    let reached = rate(tasks, started);
    report::rate("publish to settled, both at once (target 20000 /s)", reached, raw);
}

async fn drain(world: &World, tasks: usize) {
    let runs = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let worker = tokio::spawn(world.worker(noop(&runs), 1000).run(stop.clone()));
    world.until(TaskState::Succeeded, tasks).await;
    stop.cancel();
    worker.await.expect("a worker that does not panic").expect("a worker that ends well");
    assert_eq!(runs.load(Ordering::Relaxed), tasks, "every task runs once");
}

fn rate(tasks: usize, started: Instant) -> f64 {
    tasks as f64 / started.elapsed().as_secs_f64()
}
