//! Running one task, and looking at what it returns.

use std::time::Duration;

use serde::de::DeserializeOwned;
use upbeat_shared::client::{NewTask, Publishable, ResultError};
use upbeat_shared::task::TaskState;
use upbeat_shared::typed::Yields;
use upbeat_shared::verdict::RunError;
use upbeat_worker::stepper::Step;

use super::World;
use super::runs::Outcome;

/// Why a run has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFailed {
    /// It failed, and its task runs again after this delay.
    #[error("it failed and runs again in {delay:?}: {}", .error.message)]
    Retried {
        /// Counted from the run.
        delay: Duration,
        /// Why it failed.
        error: RunError,
    },
    /// It failed for good.
    #[error("it failed for good: {}", .0.message)]
    Dead(RunError),
    /// It asked to run again after this delay.
    #[error("it asked to run again in {0:?}")]
    Snoozed(Duration),
    /// It was cancelled, or cancelled itself.
    #[error("it was cancelled: {0}")]
    Cancelled(String),
    /// It was given back by its worker.
    #[error("it was given back, and runs again at once")]
    Released,
    /// It was not run: there is a task with its dedup id, or one that holds its unique key, already.
    #[error("it was not run: there is a task with this dedup id or unique key, and it is {0}")]
    Duplicate(TaskState),
    /// It was not run: nothing here can.
    #[error("it was not run: {0}")]
    NotRun(String),
    /// It succeeded, and returned something else than was asked for.
    #[error(transparent)]
    Result(ResultError),
}

impl World {
    /// Runs one task, once, through the whole of its way: published, delivered, claimed, run, settled, acknowledged. Answers
    /// what it returns, or how its run ended otherwise. Nothing else runs, whatever waits in the queues.
    ///
    /// A delay that a [`NewTask`] has is not waited for.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// use upbeat::prelude::*;
    /// use upbeat::testing::{RunFailed, World};
    ///
    /// #[derive(Serialize, Deserialize, Task)]
    /// #[task(name = "half", output = u32)]
    /// struct Half(u32);
    ///
    /// async fn half(task: Half) -> Result<u32, Error> {
    ///     if task.0 % 2 == 1 {
    ///         return Err(Error::give_up("it is odd"));
    ///     }
    ///     Ok(task.0 / 2)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let world = World::new(App::new().task(half));
    /// assert_eq!(world.run(Half(8)).await.unwrap(), 4);
    /// let failed = world.run(Half(7)).await.unwrap_err();
    /// assert!(matches!(failed, RunFailed::Dead(error) if error.message == "it is odd"));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the task cannot be published, or its run has no end ([`WorldOptions::patience`](super::WorldOptions::patience)).
    pub async fn run<T, R>(&self, task: T) -> Result<R, RunFailed>
    where
        T: Publishable,
        T::Output: Yields<R>,
        R: DeserializeOwned,
    {
        let task: NewTask = task.into_new_task().unwrap_or_else(|error| panic!("{error}"));
        let task = NewTask { due: None, ..task };
        let name = task.name.clone();
        let handle = self.inner.aside_client.publish(task).await.unwrap_or_else(|error| panic!("{error}"));
        if let Some(state) = handle.duplicate_of() {
            return Err(RunFailed::Duplicate(state));
        }
        let _bound = self.inner.bound();
        self.inner.heartbeat().await;
        let before = self.inner.runs().len();
        let step = self.inner.step_from(Some(&*self.inner.aside)).await;
        match step {
            Some(Step::Ran { id, .. }) if id == handle.id() => {}
            _ => return Err(RunFailed::NotRun(self.why_not(&name.to_string(), handle.id()))),
        }
        // The steps within this one came before it.
        let run = self.inner.runs()[before..].iter().rfind(|run| run.id == handle.id()).cloned();
        let run = run.expect("what ran was noted");
        let error = || run.error.clone().expect("a failed run says why");
        match run.outcome {
            Outcome::Succeeded => handle.result().await.map_err(RunFailed::Result),
            Outcome::Retried { delay } => Err(RunFailed::Retried { delay, error: error() }),
            Outcome::Dead => Err(RunFailed::Dead(error())),
            Outcome::Snoozed { delay } => Err(RunFailed::Snoozed(delay)),
            Outcome::Cancelled { reason } => Err(RunFailed::Cancelled(reason)),
            Outcome::Released => Err(RunFailed::Released),
        }
    }

    fn why_not(&self, name: &str, id: upbeat_shared::id::TaskId) -> String {
        let record = self.inner.record(id);
        let note = record.and_then(|record| record.note).unwrap_or_else(|| "nothing took it".to_owned());
        format!("{note} ({name}); is its handler registered, its queue one of the worker's, and not paused?")
    }
}
