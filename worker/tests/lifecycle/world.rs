//! One file, its ports with faults, and workers on it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use upbeat_shared::client::{Client, ClientOptions, NewTask, Record};
use upbeat_shared::clock::{Clock, StoreClock, SystemClock};
use upbeat_shared::id::{OwnerId, TaskId};
use upbeat_shared::ledger::embedded::{EmbeddedLedger, EmbeddedOptions};
use upbeat_shared::ledger::{Mark, Store};
use upbeat_shared::member::{Heartbeat, MemberInfo, Role};
use upbeat_shared::message::Payload;
use upbeat_shared::name::{QueueName, TaskName};
use upbeat_shared::sqlite::SqliteFile;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::transport::embedded::EmbeddedTransport;
use upbeat_shared::transport::{Outgoing, PublishAnswer, Transport};
use upbeat_worker::{
    Registry, TaskDefinition, Worker, WorkerError, WorkerHealth, WorkerOptions, WorkerReport,
};

use crate::faults::{FaultyLedger, Log, SeenTransport};

/// No healthy test comes near it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) transport: Arc<dyn Transport>,
    /// As workers see it.
    pub(crate) store: Store,
    /// Never fails.
    pub(crate) truth: Store,
    pub(crate) ledger: Arc<FaultyLedger>,
    pub(crate) client: Client,
    pub(crate) log: Log,
    clock: Arc<StoreClock>,
    _directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let system: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let clock = Arc::new(StoreClock::new(system.clone()));
        let file = SqliteFile::open(&directory.path().join("upbeat.db"), system).unwrap();
        let embedded = EmbeddedLedger::open(file.clone(), EmbeddedOptions::default()).await.unwrap();
        let inner = EmbeddedTransport::open(file).await.unwrap();
        let log = Log::default();
        let transport: Arc<dyn Transport> = Arc::new(SeenTransport { inner, log: log.clone() });
        let truth = Store::from_adapter(embedded);
        let ledger = Arc::new(FaultyLedger::new(truth.ledger.clone(), log.clone()));
        let store = Store { ledger: ledger.clone(), ..truth.clone() };
        let options = ClientOptions { record: Record::Claim, ..ClientOptions::default() };
        let client = Client::new(transport.clone(), truth.clone(), clock.clone(), options);
        Self { transport, store, truth, ledger, client, log, clock, _directory: directory }
    }

    pub(crate) async fn publish(&self, name: &str, queue: &str) -> TaskId {
        let args = Payload::json(&serde_json::Value::Null).unwrap();
        let task = NewTask::new(TaskName::new(name).unwrap(), args).queue(QueueName::new(queue).unwrap());
        self.client.publish(task).await.unwrap().id()
    }

    /// A worker on the queue `default`; `change` may make it another one.
    pub(crate) fn work(
        &self,
        tasks: Vec<TaskDefinition>,
        change: impl FnOnce(&mut WorkerOptions),
    ) -> RunningWorker {
        self.work_with(tasks, change, |worker| worker)
    }

    /// As `work`; `with` may give the worker more than options.
    pub(crate) fn work_with(
        &self,
        tasks: Vec<TaskDefinition>,
        change: impl FnOnce(&mut WorkerOptions),
        with: impl FnOnce(Worker) -> Worker,
    ) -> RunningWorker {
        let mut registry = Registry::new();
        for task in tasks {
            registry.add(task).unwrap();
        }
        let mut options = WorkerOptions { concurrency: 10, ..WorkerOptions::default() };
        change(&mut options);
        let (transport, store, client) = (self.transport.clone(), self.store.clone(), self.client.clone());
        let worker = with(Worker::new(transport, store, self.clock.clone(), client, registry, options));
        let health = worker.health();
        let stop = CancellationToken::new();
        RunningWorker { run: tokio::spawn(worker.run(stop.clone())), health, stop }
    }

    pub(crate) async fn task(&self, id: TaskId) -> Option<TaskRecord> {
        self.truth.inspect.get(vec![id]).await.unwrap().pop().flatten()
    }

    /// Waits until a task is in a state, and answers its record.
    pub(crate) async fn until(&self, id: TaskId, state: TaskState) -> TaskRecord {
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                last = self.task(id).await;
                if let Some(record) = last.clone().filter(|record| record.state == state) {
                    return record;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("{id} is not {state}: {last:?}; {:?}", self.log.events()))
    }

    /// The heartbeats that the only worker has sent so far, as the ledger has them.
    pub(crate) async fn heartbeats(&self) -> u64 {
        // Only who sends one hears of others.
        let owner = OwnerId::random();
        let (role, info, lease) = (Role::Beat, MemberInfo::default(), Duration::from_secs(1));
        let heartbeat = Heartbeat { owner, role, counter: 1, lease, info };
        let answer = self.truth.ledger.heartbeat(heartbeat).await.unwrap();
        self.truth.ledger.leave(owner).await.unwrap();
        answer.pulses.iter().find(|pulse| pulse.owner != owner).map_or(0, |pulse| pulse.counter)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.ledger.down.store(down, Ordering::SeqCst);
    }

    /// What a beat does: publishes what is due, then marks it.
    pub(crate) async fn promote(&self) -> usize {
        let due = self.truth.agenda.due(100, Duration::from_millis(1)).await.unwrap();
        let outgoing = due.entries.iter().map(|entry| {
            let message = entry.message.encode();
            Outgoing { queue: entry.message.queue.clone(), message }
        });
        let answers = self.transport.publish(outgoing.collect()).await.unwrap();
        assert!(answers.iter().all(|answer| *answer == PublishAnswer::Confirmed));
        let marks = due.entries.iter().map(|entry| Mark { id: entry.message.id, seq: entry.message.seq });
        self.truth.agenda.mark(marks.collect()).await.unwrap();
        due.entries.len()
    }
}

pub(crate) struct RunningWorker {
    pub(crate) health: WorkerHealth,
    pub(crate) stop: CancellationToken,
    run: JoinHandle<Result<WorkerReport, WorkerError>>,
}

impl RunningWorker {
    pub(crate) async fn stopped(self) -> WorkerReport {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.run).await.expect("a worker that stops").unwrap().unwrap()
    }

    /// As a kill would.
    pub(crate) fn abort(self) {
        self.run.abort();
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let holds = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"));
}
