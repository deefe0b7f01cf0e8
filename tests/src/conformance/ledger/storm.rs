//! Limits under load: workers of many processes, and one that is killed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use upbeat_broker::beat::{Beat, BeatOptions};
use upbeat_shared::client::{Client, ClientOptions, NewTask, Record};
use upbeat_shared::clock::{StoreClock, SystemClock};
use upbeat_shared::ledger::Store;
use upbeat_shared::limit::LimitPolicy;
use upbeat_shared::message::Payload;
use upbeat_shared::name::TaskKey;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::memory::MemoryBroker;
use upbeat_worker::executor::native::native;
use upbeat_worker::{Registry, RunContext, Worker, WorkerOptions};

use super::LedgerWorld;
use crate::conformance::suite;
use crate::harness::{count, eventually};
use crate::message::task_name;

suite! { $ storm_conformance, LedgerWorld, ledger::storm:
    many_workers_keep_to_a_limit_by_key_and_all_tasks_finish,
}

const TASKS: u64 = 2000;
const KEYS: u64 = 20;
const AT_ONCE: u32 = 2;

/// How many tasks of each key run, and how many did at most.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<HashMap<TaskKey, (u32, u32)>>>);

/// A run, until it ends or is killed.
struct Run(Seen, TaskKey);

impl Seen {
    fn enter(&self, key: TaskKey) -> Run {
        let mut all = self.0.lock().expect("no holder panics");
        let (now, most) = all.entry(key.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        drop(all);
        Run(self.clone(), key)
    }

    fn most(&self) -> Vec<u32> {
        self.0.lock().expect("no holder panics").values().map(|(_, most)| *most).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some((now, _)) = self.0.0.lock().expect("no holder panics").get_mut(&self.1) {
            *now -= 1;
        }
    }
}

/// Members over one ledger and one broker in memory, each with connections of its own.
struct Crowd {
    broker: Arc<MemoryBroker>,
    seen: Seen,
    stop: CancellationToken,
}

impl Crowd {
    fn client(&self, store: Store) -> (Client, Arc<StoreClock>) {
        let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
        let options = ClientOptions { record: Record::Claim, ..ClientOptions::default() };
        (Client::new(self.broker.connect(), store, clock.clone(), options), clock)
    }

    fn worker(&self, store: Store) -> JoinHandle<()> {
        let seen = self.seen.clone();
        let task = native(task_name("mail.send"), move |(): (), run: RunContext| {
            let entered = seen.enter(run.message.key.clone().expect("it was published with one"));
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                drop(entered);
                Ok(())
            }
        });
        let mut registry = Registry::new();
        let limit = LimitPolicy::default().running(AT_ONCE);
        registry.add(task.limit_per_key(limit)).expect("one name");
        let (client, clock) = self.client(store.clone());
        let options =
            WorkerOptions { concurrency: 50, lease: Duration::from_secs(2), ..WorkerOptions::default() };
        let worker = Worker::new(self.broker.connect(), store, clock, client, registry, options);
        let stop = self.stop.clone();
        tokio::spawn(async move {
            worker.run(stop).await.expect("the worker runs to its stop");
        })
    }

    fn beat(&self, store: Store) -> JoinHandle<()> {
        let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
        let options = BeatOptions { lease: Duration::from_secs(2), ..BeatOptions::default() };
        let beat = Beat::new(self.broker.connect(), store, clock, options);
        let stop = self.stop.clone();
        tokio::spawn(async move { beat.run(stop).await.expect("the beat runs to its stop") })
    }
}

async fn many_workers_keep_to_a_limit_by_key_and_all_tasks_finish(world: &impl LedgerWorld) {
    let crowd = Crowd { broker: MemoryBroker::new(), seen: Seen::default(), stop: CancellationToken::new() };
    let store = world.store();
    let mut members = vec![crowd.beat(world.connect().await)];
    for _ in 0..4 {
        members.push(crowd.worker(world.connect().await));
    }
    let killed = crowd.worker(world.connect().await);
    let (client, _) = crowd.client(store.clone());
    let tasks = (0..TASKS).map(|number| {
        let key = TaskKey::new(format!("customer-{}", number % KEYS)).expect("a key");
        NewTask::new(task_name("mail.send"), Payload::json(&()).expect("plain data")).key(key)
    });
    client.publish_all(tasks).await.expect("they are accepted");
    let done = async || count(&store, TaskState::Succeeded).await;

    eventually("some are done", Duration::from_secs(60), async || done().await > TASKS / 10).await;
    killed.abort();
    eventually("all are done", Duration::from_secs(120), async || done().await == TASKS).await;

    crowd.stop.cancel();
    for member in members {
        member.await.expect("it ends well");
    }
    let most = crowd.seen.most();
    assert_eq!(most.len() as u64, KEYS);
    assert!(most.iter().all(|most| *most <= AT_ONCE), "{most:?}");
    assert!(most.contains(&AT_ONCE), "they ran one by one: {most:?}");
}
