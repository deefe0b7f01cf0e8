//! A ledger's [`Inspect`] port that counts what it is asked, and fails when it is told to.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{
    ActAnswer, Action, Inspect, LedgerError, LimitRecord, PageCursor, PurgeReport, QueueRecord, Retention,
    Store, TaskFilter, TaskPage,
};
use upbeat_shared::member::MemberRecord;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::{TaskRecord, TaskState};

/// Stands before a ledger.
#[derive(Debug)]
pub struct Counted {
    ledger: Arc<dyn Inspect>,
    /// Hears of no end: as if another process brought all of them about.
    is_deaf: bool,
    is_away: AtomicBool,
    unreadable: Mutex<HashSet<TaskId>>,
    questions: AtomicU64,
    records: AtomicU64,
    largest: AtomicU64,
}

impl Counted {
    /// Before this store; answers what to ask in its place.
    pub fn before(store: Store, is_deaf: bool) -> (Arc<Self>, Store) {
        let counted = Arc::new(Self {
            ledger: Arc::clone(&store.inspect),
            is_deaf,
            is_away: AtomicBool::default(),
            unreadable: Mutex::default(),
            questions: AtomicU64::default(),
            records: AtomicU64::default(),
            largest: AtomicU64::default(),
        });
        let inspect: Arc<dyn Inspect> = counted.clone();
        (counted, Store { inspect, ..store })
    }

    /// How many times it was asked for states or records.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::SeqCst)
    }

    /// How many records it was asked for.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::SeqCst)
    }

    /// The largest batch that it was asked for.
    pub fn largest(&self) -> u64 {
        self.largest.load(Ordering::SeqCst)
    }

    /// From now on it cannot be reached, or can again.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// This task's row cannot be read.
    pub fn spoil(&self, id: TaskId) {
        self.unreadable.lock().expect("no holder panics").insert(id);
    }

    fn ask(&self, ids: &[TaskId]) -> Result<(), LedgerError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.largest.fetch_max(ids.len() as u64, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable("the test took it away".to_owned()));
        }
        let unreadable = self.unreadable.lock().expect("no holder panics");
        match ids.iter().find(|id| unreadable.contains(id)) {
            Some(id) => Err(LedgerError::Invalid(format!("the row of {id} makes no sense"))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Inspect for Counted {
    async fn get(&self, ids: Vec<TaskId>) -> Result<Vec<Option<TaskRecord>>, LedgerError> {
        self.ask(&ids)?;
        self.records.fetch_add(ids.len() as u64, Ordering::SeqCst);
        self.ledger.get(ids).await
    }

    async fn states(&self, ids: Vec<TaskId>) -> Result<Vec<Option<TaskState>>, LedgerError> {
        self.ask(&ids)?;
        self.ledger.states(ids).await
    }

    async fn list(
        &self,
        filter: TaskFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<TaskPage, LedgerError> {
        self.ledger.list(filter, after, limit).await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, LedgerError> {
        self.ledger.queues().await
    }

    async fn limits(&self, most: usize) -> Result<Vec<LimitRecord>, LedgerError> {
        self.ledger.limits(most).await
    }

    async fn members(&self) -> Result<Vec<MemberRecord>, LedgerError> {
        self.ledger.members().await
    }

    async fn act(&self, ids: Vec<TaskId>, action: Action) -> Result<Vec<ActAnswer>, LedgerError> {
        self.ledger.act(ids, action).await
    }

    async fn pause(&self, queue: QueueName, paused: bool) -> Result<(), LedgerError> {
        self.ledger.pause(queue, paused).await
    }

    async fn purge(&self, retention: Retention, limit: usize) -> Result<PurgeReport, LedgerError> {
        self.ledger.purge(retention, limit).await
    }

    async fn wait(&self, at_most: Duration) -> bool {
        if self.is_deaf {
            tokio::time::sleep(at_most).await;
            return false;
        }
        self.ledger.wait(at_most).await
    }
}
