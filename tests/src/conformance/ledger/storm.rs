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
use upbeat_shared::limit::{FairPolicy, FairQueues, LimitPolicy};
use upbeat_shared::message::Payload;
use upbeat_shared::name::TaskKey;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::memory::MemoryBroker;
use upbeat_worker::executor::native::native;
use upbeat_worker::{Registry, RunContext, Worker, WorkerOptions};

use super::LedgerWorld;
use crate::conformance::suite;
use crate::harness::{count, eventually};
use crate::message::{queue, task_name};

suite! { $ storm_conformance, LedgerWorld, ledger::storm:
    many_workers_keep_to_a_limit_by_key_and_all_tasks_finish,
    a_tenants_ten_tasks_wait_for_a_few_of_anothers_thousand,
    what_was_put_off_takes_its_turn_too,
}

const TASKS: u64 = 2000;
const KEYS: u64 = 20;
const AT_ONCE: u32 = 2;

/// How many tasks of each key run, and how many did at most.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<HashMap<TaskKey, (u32, u32)>>>, Order);

/// The keys of the runs that began, in this order.
type Order = Arc<Mutex<Vec<TaskKey>>>;

/// A run, until it ends or is killed.
struct Run(Seen, TaskKey);

impl Seen {
    fn enter(&self, key: TaskKey) -> Run {
        self.1.lock().expect("no holder panics").push(key.clone());
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
#[derive(Default)]
struct Crowd {
    broker: Arc<MemoryBroker>,
    seen: Seen,
    stop: CancellationToken,
    limit: LimitPolicy,
    fair: FairQueues,
}

impl Crowd {
    fn client(&self, store: Store) -> (Client, Arc<StoreClock>) {
        let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
        let fair = self.fair.clone();
        let options = ClientOptions { record: Record::Claim, fair, ..ClientOptions::default() };
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
        registry.add(task.limit_per_key(self.limit)).expect("one name");
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
        let fair = self.fair.clone();
        let options = BeatOptions { lease: Duration::from_secs(2), fair, ..BeatOptions::default() };
        let beat = Beat::new(self.broker.connect(), store, clock, options);
        let stop = self.stop.clone();
        tokio::spawn(async move { beat.run(stop).await.expect("the beat runs to its stop") })
    }
}

fn task(key: &str) -> NewTask {
    let key = TaskKey::new(key).expect("a key");
    NewTask::new(task_name("mail.send"), Payload::json(&()).expect("plain data")).key(key)
}

async fn a_tenants_ten_tasks_wait_for_a_few_of_anothers_thousand(world: &impl LedgerWorld) {
    let fair = FairQueues([(queue("default"), FairPolicy::new(60))].into());
    let crowd = Crowd { fair, ..Crowd::default() };
    let store = world.store();
    let (client, _) = crowd.client(store.clone());
    client.publish_all((0..1000).map(|_| task("large"))).await.expect("they are accepted");
    client.publish_all((0..10).map(|_| task("small"))).await.expect("they are accepted");

    let members = [crowd.beat(world.connect().await), crowd.worker(world.connect().await)];
    let done = async || count(&store, TaskState::Succeeded).await == 1010;
    eventually("all are done", Duration::from_secs(120), done).await;

    crowd.stop.cancel();
    for member in members {
        member.await.expect("it ends well");
    }
    let order = crowd.seen.1.lock().expect("no holder panics").clone();
    let last = order.iter().rposition(|key| key.as_str() == "small").expect("they ran");
    // The slots that were taken, and ten turns of two; what was handed out together may start in any order.
    assert!(last < 60 + 20 + 60, "the last of ten was the {last}th");
}

async fn what_was_put_off_takes_its_turn_too(world: &impl LedgerWorld) {
    let fair = FairQueues([(queue("default"), FairPolicy::new(60))].into());
    let crowd = Crowd { fair, ..Crowd::default() };
    let store = world.store();
    let (client, _) = crowd.client(store.clone());
    let put_off = (0..200).map(|_| task("large").delay(Duration::ZERO));
    client.publish_all(put_off).await.expect("they are accepted");

    let beat = crowd.beat(world.connect().await);
    let settled = async || {
        let due = store.agenda.due(1, Duration::ZERO).await.expect("the store leases");
        due.entries.is_empty() && count(&store, TaskState::Queued).await >= 60
    };
    eventually("nothing is due any more", Duration::from_secs(60), settled).await;

    crowd.stop.cancel();
    beat.await.expect("it ends well");
    assert_eq!(count(&store, TaskState::Queued).await, 60);
}

async fn many_workers_keep_to_a_limit_by_key_and_all_tasks_finish(world: &impl LedgerWorld) {
    let crowd = Crowd { limit: LimitPolicy::default().running(AT_ONCE), ..Crowd::default() };
    let store = world.store();
    let mut members = vec![crowd.beat(world.connect().await)];
    for _ in 0..4 {
        members.push(crowd.worker(world.connect().await));
    }
    let killed = crowd.worker(world.connect().await);
    let (client, _) = crowd.client(store.clone());
    let tasks = (0..TASKS).map(|number| task(&format!("customer-{}", number % KEYS)));
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
