//! What tests of the beat stand on: schedules, a clock moved by hand, and a broker that does as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use upbeat_shared::clock::{Clock, StoreClock, later};
use upbeat_shared::hook::HookQueue;
use upbeat_shared::ledger::Store;
use upbeat_shared::ledger::embedded::{EmbeddedLedger, EmbeddedOptions};
use upbeat_shared::sqlite::SqliteFile;
use upbeat_shared::transport::{Consumer, Depth, Outgoing, PublishAnswer, Transport, TransportError};

use super::context::Context;
use super::health::Board;
use super::options::BeatOptions;
use super::overdue::Watches;
use upbeat_schedule::{CatchUp, TimingSpec};
use upbeat_shared::name::{QueueName, ScheduleId, TaskName};
use upbeat_shared::occurrence::{ScheduleDefinition, ScheduleRecord, TaskTemplate, default_grace};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A schedule with this rule (`cron`, `every` or `at`) and this cursor.
pub(crate) fn schedule(kind: &str, rule: &str, cursor: &str) -> ScheduleRecord {
    let mut timing = TimingSpec::default();
    match kind {
        "cron" => timing.cron = Some(rule.into()),
        "every" => timing.every = Some(rule.into()),
        _ => timing.at = Some(rule.into()),
    }
    let task = TaskTemplate {
        name: TaskName::new("report").unwrap(),
        queue: QueueName::default_queue(),
        args: serde_json::Value::Null,
        args_version: 1,
        priority: None,
        timeout: None,
        expires_after: None,
        deadline_after: None,
        unique: None,
        retry: None,
        key: None,
        tags: Vec::new(),
    };
    ScheduleRecord {
        id: ScheduleId::new("nightly").unwrap(),
        incarnation: 3,
        revision: 5,
        definition: ScheduleDefinition {
            timing,
            task,
            catch_up: CatchUp::Latest.into(),
            grace: default_grace(),
            overdue_after: None,
            paused: false,
        },
        source: "test".into(),
        cursor: at(cursor),
        updated_at: at(cursor),
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct Hand {
    start: Timestamp,
    /// Since the start.
    passed: Mutex<Duration>,
}

impl Hand {
    pub(crate) fn at(start: &str) -> Arc<Self> {
        Arc::new(Self { start: at(start), passed: Mutex::default() })
    }

    pub(crate) fn forward(&self, by: Duration) {
        *self.passed.lock().unwrap() += by;
    }
}

impl Clock for Hand {
    fn wall(&self) -> Timestamp {
        later(self.start, *self.passed.lock().unwrap())
    }

    fn monotonic(&self) -> Duration {
        // A host runs for a while before a beat does.
        *self.passed.lock().unwrap() + Duration::from_secs(1000)
    }
}

/// A broker that does as it is told, and remembers what it was given.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    pub(crate) script: Mutex<Script>,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Fails every call.
    pub(crate) down: bool,
    /// Queues that exist.
    pub(crate) queues: BTreeSet<QueueName>,
    /// Queues that take nothing.
    pub(crate) full: BTreeSet<QueueName>,
    /// Queues that may not be made.
    pub(crate) forbidden: BTreeSet<QueueName>,
    /// What is said to wait in a queue.
    pub(crate) ready: BTreeMap<QueueName, u64>,
    /// What was published, also in vain.
    pub(crate) published: Vec<Outgoing>,
    /// What was declared.
    pub(crate) declared: Vec<QueueName>,
}

impl Scripted {
    pub(crate) fn with_queues(names: &[&str]) -> Arc<Self> {
        let broker = Self::default();
        broker.script.lock().unwrap().queues = names.iter().map(|name| queue(name)).collect();
        Arc::new(broker)
    }

    /// How often something was published to this queue.
    pub(crate) fn count(&self, name: &str) -> usize {
        let script = self.script.lock().unwrap();
        script.published.iter().filter(|outgoing| outgoing.queue == queue(name)).count()
    }

    fn up(&self) -> Result<std::sync::MutexGuard<'_, Script>, TransportError> {
        let script = self.script.lock().unwrap();
        if script.down { Err(TransportError::Unavailable("it was told to be".into())) } else { Ok(script) }
    }
}

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

#[async_trait]
impl Transport for Scripted {
    async fn declare(&self, queues: &[QueueName]) -> Result<(), TransportError> {
        let mut script = self.up()?;
        for queue in queues {
            if script.forbidden.contains(queue) {
                return Err(TransportError::Refused("no permission".into()));
            }
            script.declared.push(queue.clone());
            script.queues.insert(queue.clone());
        }
        Ok(())
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError> {
        let mut script = self.up()?;
        let answer = |outgoing: &Outgoing| {
            if !script.queues.contains(&outgoing.queue) {
                PublishAnswer::Unroutable
            } else if script.full.contains(&outgoing.queue) {
                PublishAnswer::Refused("maximum length reached".into())
            } else {
                PublishAnswer::Confirmed
            }
        };
        let answers = batch.iter().map(answer).collect();
        script.published.extend(batch);
        Ok(answers)
    }

    async fn consume(&self, _: &QueueName, _: u32) -> Result<Box<dyn Consumer>, TransportError> {
        Err(TransportError::Unavailable("nothing is consumed here".into()))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<Depth>, TransportError> {
        let script = self.up()?;
        let ready = script.ready.get(queue).copied().unwrap_or(0);
        Ok(script.queues.contains(queue).then_some(Depth { ready, ..Depth::default() }))
    }

    async fn purge(&self, _: &QueueName) -> Result<u64, TransportError> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), TransportError> {
        self.up().map(drop)
    }

    fn describe(&self) -> String {
        "scripted".into()
    }

    async fn close(&self) {}
}

/// A beat's surroundings on a new file, at the hand's time.
pub(crate) struct Stage {
    pub(crate) ctx: Arc<Context>,
    pub(crate) hand: Arc<Hand>,
    pub(crate) broker: Arc<Scripted>,
    folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn new(hand: Arc<Hand>, broker: Arc<Scripted>) -> Self {
        Self::on(tempfile::tempdir().unwrap(), hand, broker).await
    }

    /// The same surroundings in which something is otherwise.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Context)) -> Arc<Context> {
        let Context { transport, store, clock, options, board, .. } = &*self.ctx;
        let mut ctx = Context {
            transport: transport.clone(),
            store: store.clone(),
            clock: clock.clone(),
            options: options.clone(),
            board: board.clone(),
            hooks: HookQueue::default(),
            watches: Watches::default(),
            stop: CancellationToken::new(),
        };
        change(&mut ctx);
        Arc::new(ctx)
    }

    /// Closes this one, and opens its file again by another clock.
    pub(crate) async fn reopen(self, hand: Arc<Hand>) -> Self {
        let Self { ctx, folder, broker, .. } = self;
        drop(ctx);
        Self::on(folder, hand, broker).await
    }

    async fn on(folder: tempfile::TempDir, hand: Arc<Hand>, broker: Arc<Scripted>) -> Self {
        let file = SqliteFile::open(&folder.path().join("upbeat.db"), hand.clone()).unwrap();
        let ledger = EmbeddedLedger::open(file, EmbeddedOptions::default()).await.unwrap();
        let clock = Arc::new(StoreClock::new(hand.clone()));
        let options = BeatOptions::default();
        let ctx = Context {
            transport: broker.clone(),
            store: Store::from_adapter(ledger),
            board: Arc::new(Board::new(clock.clone(), options.lease)),
            clock,
            options,
            hooks: HookQueue::default(),
            watches: Watches::default(),
            stop: CancellationToken::new(),
        };
        ctx.sample().await.unwrap();
        Self { ctx: Arc::new(ctx), hand, broker, folder }
    }
}
