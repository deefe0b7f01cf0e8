//! A task that was accepted, in its publisher's hands.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Client, NewTask, Publishable, Published, WaitError};
use crate::id::TaskId;
use crate::ledger::{ActAnswer, Action, LedgerError};
use crate::message::Payload;
use crate::progress::Progress;
use crate::task::{TaskRecord, TaskState};
use crate::typed::Yields;
use crate::verdict::{RunError, RunErrorKind};

/// A task that was accepted: it will reach succeeded, dead, cancelled or expired. Cheap to clone; dropping it changes
/// nothing.
pub struct TaskHandle<T = NewTask> {
    client: Client,
    published: Published,
    task: PhantomData<fn() -> T>,
}

/// Why a task has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// It failed for good.
    #[error("the task {id} is dead: {}", .error.message)]
    Dead {
        /// Which.
        id: TaskId,
        /// Why it failed last.
        error: RunError,
    },
    /// It was cancelled.
    #[error("the task {id} was cancelled: {reason}")]
    Cancelled {
        /// Which.
        id: TaskId,
        /// By whom or why.
        reason: String,
    },
    /// It had not started when its time was over.
    #[error("the task {0} expired before it could start")]
    Expired(TaskId),
    /// It succeeded, and its result is no longer kept (`retention.details`), or was too large to be kept.
    #[error("the task {0} succeeded, but its result was not kept")]
    NotKept(TaskId),
    /// It succeeded, and returned something else.
    #[error("the result of the task {id} is not what is expected here: {reason}")]
    Unlike {
        /// Which.
        id: TaskId,
        /// What does not fit.
        reason: String,
    },
    /// It has not ended yet, or the ledger does not answer.
    #[error(transparent)]
    Wait(#[from] WaitError),
}

impl ResultError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Dead { error, .. } => error.kind.page(),
            Self::Cancelled { .. } | Self::Expired(_) | Self::NotKept(_) | Self::Unlike { .. } => "no-result",
            Self::Wait(error) => error.page(),
        }
    }
}

impl<T> TaskHandle<T> {
    pub(super) fn new(client: Client, published: Published) -> Self {
        Self { client, published, task: PhantomData }
    }

    /// Its id: that of the task that did the same already, if there was one ([`TaskHandle::duplicate_of`]).
    pub fn id(&self) -> TaskId {
        self.published.id
    }

    /// The state of the task that had this id already (by its dedup id), or that holds its unique key: nothing new was made, and
    /// this handle is for that task.
    pub fn duplicate_of(&self) -> Option<TaskState> {
        self.published.duplicate_of
    }

    /// Its record, if there is one: a task that was published straight to the broker has none before a worker claims it.
    pub async fn record(&self) -> Result<Option<TaskRecord>, LedgerError> {
        let records = self.client.store().inspect.get(vec![self.id()]).await?;
        Ok(records.into_iter().next().flatten())
    }

    /// How far its run has come, as its handler said some seconds ago; `None` where it does not run or its handler says
    /// nothing.
    pub async fn progress(&self) -> Result<Option<Progress>, LedgerError> {
        let Some(task) = self.record().await?.filter(|task| task.state == TaskState::Running) else {
            return Ok(None);
        };
        let members = self.client.store().inspect.members().await?;
        let member = members.iter().find(|member| Some(member.owner) == task.owner);
        Ok(member.and_then(|member| member.info.progress_of(self.id())).cloned())
    }

    /// Ends it if it has not started, also before it has a row; asks it to stop if it runs.
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<ActAnswer, LedgerError> {
        let action = Action::Cancel { reason: reason.into() };
        let answers = self.client.store().inspect.act(vec![self.id()], action).await?;
        Ok(answers.into_iter().next().expect("one answer for one task"))
    }

    /// Waits until it has ended, and answers its record.
    pub async fn ended(&self) -> Result<TaskRecord, WaitError> {
        self.client.ended(self.id()).await
    }
}

impl<T: Publishable> TaskHandle<T> {
    /// Waits until it has ended, however long that takes, and answers what it returned.
    ///
    /// The type is the one that the task's type names (`#[task(output = Receipt)]`). Where it names none, say it here:
    /// `let receipt: Receipt = handle.result().await?`.
    pub async fn result<R>(&self) -> Result<R, ResultError>
    where
        T::Output: Yields<R>,
        R: DeserializeOwned,
    {
        result_of(&self.ended().await?)
    }

    /// As [`TaskHandle::result`], but waits no longer than this.
    pub async fn result_within<R>(&self, timeout: Duration) -> Result<R, ResultError>
    where
        T::Output: Yields<R>,
        R: DeserializeOwned,
    {
        result_of(&self.client.wait(self.id(), timeout).await?)
    }
}

/// What a task that has ended returned.
fn result_of<R: DeserializeOwned>(record: &TaskRecord) -> Result<R, ResultError> {
    let id = record.id();
    match record.state {
        TaskState::Succeeded => decoded(id, record.result.as_ref()),
        TaskState::Dead => Err(ResultError::Dead {
            id,
            error: record
                .error
                .clone()
                .unwrap_or_else(|| RunError::new(RunErrorKind::Failed, "its error is not kept")),
        }),
        TaskState::Expired => Err(ResultError::Expired(id)),
        TaskState::Cancelled
        | TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Running
        | TaskState::Held => {
            Err(ResultError::Cancelled { id, reason: record.note.clone().unwrap_or_default() })
        }
    }
}

/// A handler that returned nothing, or whose result is gone, left nothing.
fn decoded<R: DeserializeOwned>(id: TaskId, result: Option<&Payload>) -> Result<R, ResultError> {
    match result {
        Some(result) => {
            result.decode().map_err(|error| ResultError::Unlike { id, reason: error.to_string() })
        }
        // `()` and `None` are not stored: whatever can be read from nothing is that.
        None => serde_json::from_value(serde_json::Value::Null).map_err(|_| ResultError::NotKept(id)),
    }
}

impl<T> Clone for TaskHandle<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), published: self.published, task: PhantomData }
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("published", &self.published).finish_non_exhaustive()
    }
}
