//! Waiting for a task to end lets the world go on: a handle's `result()` is answered without anybody's doing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{
    ActAnswer, Action, Inspect, LedgerError, LimitRecord, PageCursor, PurgeReport, QueueRecord, Retention,
    TaskFilter, TaskPage,
};
use upbeat_shared::member::MemberRecord;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskRecord;

use super::{Inner, Link};

/// So many waits in a row may find nothing to do: somebody else may let time pass meanwhile.
const PATIENCE: u32 = 4;

/// Looking at tasks, by publishers and handlers.
pub(super) struct WaitingInspect {
    ledger: Arc<dyn Inspect>,
    link: Link,
}

impl WaitingInspect {
    pub(super) fn new(ledger: Arc<dyn Inspect>, link: Link) -> Self {
        Self { ledger, link }
    }
}

impl Inner {
    /// Runs what is due. If there is nothing, waits for somebody else to let time pass, but not for ever.
    async fn go_on(&self, ledger: &dyn Inspect, at_most: Duration) {
        let before = self.runs().len();
        let next = self.drain().await;
        if self.runs().len() > before {
            return;
        }
        let waits = self.fruitless.fetch_add(1, Ordering::Relaxed) + 1;
        let next = next.map_or_else(
            || "nothing will ever be due".to_owned(),
            |next| format!("the next thing is due at {next}, and it is {}", self.now()),
        );
        assert!(
            waits < PATIENCE,
            "somebody waits for a task to end, and nothing is due now: {next}. Let time pass first (`world.advance(…)`), or \
             see why it does not run (`world.tasks()`)"
        );
        ledger.wait(at_most).await;
    }
}

impl fmt::Debug for WaitingInspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingInspect").finish_non_exhaustive()
    }
}

#[async_trait]
impl Inspect for WaitingInspect {
    async fn get(&self, ids: Vec<TaskId>) -> Result<Vec<Option<TaskRecord>>, LedgerError> {
        self.ledger.get(ids).await
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

    async fn wait(&self, at_most: Duration) {
        match self.link.world() {
            Some(world) => world.go_on(&*self.ledger, at_most).await,
            None => self.ledger.wait(at_most).await,
        }
    }
}
