//! Plain functions as handlers of typed tasks that block their thread.

use std::sync::Arc;

use serde::Serialize;
use upbeat_shared::typed::{Task, Yields};

use super::BlockingTask;
use crate::executor::native::{Context, FromState, Signature, encode, read};
use crate::executor::{RunContext, RunResult, TaskError};
use crate::registry::TaskDefinition;

/// What a program can register as a task that blocks its thread: a plain function whose first parameter is the task's type.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use upbeat_worker::{Context, TaskError};
/// # #[derive(Serialize, Deserialize)] struct Video { id: u64 }
/// # #[derive(Serialize, Deserialize)] struct Thumbnail;
/// fn one(video: Video) -> Result<Thumbnail, TaskError> {
/// #   Ok(Thumbnail)
/// # /*
///     …
/// # */
/// }
/// fn another(video: Video, ctx: Context<u32>) -> Result<Thumbnail, std::io::Error> {
///     while !ctx.is_cancelled() {
/// #       break;
/// # /*
///         …
/// # */
///     }
/// #   Ok(Thumbnail)
/// # /*
///     …
/// # */
/// }
/// ```
///
/// Types and errors are as in [`IntoTask`](crate::IntoTask). How such a handler is told to stop, and what becomes of it, is
/// told in [the module's documentation](crate::executor::blocking).
pub trait IntoBlockingTask<S, Parameters>: Signature<Parameters> {
    /// The task, with this state.
    fn into_blocking_task(self, state: &S) -> TaskDefinition;
}

impl<S, T, F, R, E> IntoBlockingTask<S, (T,)> for F
where
    T: Task,
    T::Output: Yields<R>,
    F: Fn(T) -> Result<R, E> + Send + Sync + 'static,
    R: Serialize,
    E: Into<TaskError>,
{
    fn into_blocking_task(self, _: &S) -> TaskDefinition {
        define(move |task, _| finished(self(task)))
    }
}

impl<S, C, T, F, R, E> IntoBlockingTask<S, (T, Context<C>)> for F
where
    C: FromState<S> + Send + Sync + 'static,
    T: Task,
    T::Output: Yields<R>,
    F: Fn(T, Context<C>) -> Result<R, E> + Send + Sync + 'static,
    R: Serialize,
    E: Into<TaskError>,
{
    fn into_blocking_task(self, state: &S) -> TaskDefinition {
        let state = Arc::new(C::from_state(state));
        define(move |task, run| finished(self(task, Context::shared(run, state.clone()))))
    }
}

/// The task as its type describes it, run by this.
fn define<T: Task>(handler: impl Fn(T, RunContext) -> RunResult + Send + Sync + 'static) -> TaskDefinition {
    TaskDefinition::of::<T>(Arc::new(BlockingTask::new(read::<T>, handler)))
}

/// The handler's end as the worker takes it.
fn finished<R: Serialize, E: Into<TaskError>>(ended: Result<R, E>) -> RunResult {
    encode(&ended.map_err(Into::into)?)
}
