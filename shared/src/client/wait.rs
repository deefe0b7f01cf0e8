//! Waiting for a task to end.

use std::time::Duration;

use super::Client;
use crate::id::TaskId;
use crate::ledger::LedgerError;
use crate::task::TaskRecord;

/// The longest time between two looks where it is the waiting that lets things happen.
const LOOK: Duration = Duration::from_millis(500);

/// Why a wait ended without a result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The task has not ended yet.
    #[error("the task {id} has not ended within {timeout:?}")]
    TimedOut {
        /// Which.
        id: TaskId,
        /// How long was waited.
        timeout: Duration,
    },
    /// The ledger did not answer, for a minute or when the time was over, or cannot read the task.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl WaitError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "wait-timed-out",
            Self::Ledger(error) => error.page(),
        }
    }
}

impl Client {
    /// Waits until the task reaches a terminal state, and answers its record.
    ///
    /// However many wait on one client, the ledger is asked for all of them together. An outage of the ledger is waited out; one that
    /// lasts a minute, or to the end of the timeout, is the answer.
    pub async fn wait(&self, id: TaskId, timeout: Duration) -> Result<TaskRecord, WaitError> {
        match tokio::time::timeout(timeout, self.ended(id)).await {
            Ok(ended) => ended,
            // Whether it has ended is not known then.
            Err(_) => match self.inner.room.trouble() {
                Some(error) => Err(error.into()),
                None => Err(WaitError::TimedOut { id, timeout }),
            },
        }
    }

    /// Waits until the task reaches a terminal state, however long that takes, and answers its record.
    pub(super) async fn ended(&self, id: TaskId) -> Result<TaskRecord, WaitError> {
        if self.inner.store.inspect.is_driven_by_waits() {
            return Ok(self.driven(id).await?);
        }
        Ok(self.inner.room.ended(id).await?)
    }

    /// Each waits for itself where it is the waiting that lets things happen.
    async fn driven(&self, id: TaskId) -> Result<TaskRecord, LedgerError> {
        let inspect = &self.inner.store.inspect;
        loop {
            let record = inspect.get(vec![id]).await?.into_iter().next().flatten();
            if let Some(record) = record.filter(|record| record.state.is_terminal()) {
                return Ok(record);
            }
            inspect.wait(LOOK).await;
        }
    }
}
