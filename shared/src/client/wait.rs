//! Waiting for a task to end.

use std::time::Duration;

use super::Client;
use crate::id::TaskId;
use crate::ledger::LedgerError;
use crate::task::TaskRecord;

/// The longest time between two looks, where the ledger cannot tell that something ended.
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
    /// The ledger did not answer.
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
    pub async fn wait(&self, id: TaskId, timeout: Duration) -> Result<TaskRecord, WaitError> {
        let ended = tokio::time::timeout(timeout, self.ended(id)).await;
        ended.map_err(|_| WaitError::TimedOut { id, timeout })?
    }

    /// Waits until the task reaches a terminal state, however long that takes, and answers its record.
    pub(super) async fn ended(&self, id: TaskId) -> Result<TaskRecord, WaitError> {
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
