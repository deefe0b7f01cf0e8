//! Plain functions as handlers of typed tasks.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use upbeat_shared::message::Message;
use upbeat_shared::typed::{Task, Yields};

use super::context::{Context, FromState};
use super::{NativeTask, encode};
use crate::executor::{RunContext, RunResult, TaskError};
use crate::registry::TaskDefinition;

/// What a program can register as a task: a plain async function whose first parameter is the task's type, or a
/// [`TaskDefinition`].
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use upbeat_worker::{Context, TaskError};
/// # #[derive(Serialize, Deserialize)] struct Invoice { customer: u64 }
/// # #[derive(Serialize, Deserialize)] struct Receipt;
/// async fn one(invoice: Invoice) -> Result<Receipt, TaskError> {
/// #   Ok(Receipt)
/// # /*
///     …
/// # */
/// }
/// async fn another(invoice: Invoice, ctx: Context<u32>) -> Result<Receipt, std::io::Error> {
/// #   Ok(Receipt)
/// # /*
///     …
/// # */
/// }
/// ```
///
/// The error is any that turns into a [`TaskError`]: every error of the standard library, `anyhow`'s, your own. What the
/// function returns must be what the task's type says, if it says it (`#[task(output = Receipt)]`).
pub trait IntoTask<S, Parameters>: Signature<Parameters> {
    /// The task, with this state.
    fn into_task(self, state: &S) -> TaskDefinition;
}

/// The parameters of what can be registered as a task. Apart from [`IntoTask`], so that the compiler knows them before it
/// looks at the rest, and says which part of the rest does not fit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of a task",
    label = "not a handler",
    note = "a handler is an `async fn(T) -> Result<R, E>` or an `async fn(T, Context<S>) -> Result<R, E>`"
)]
pub trait Signature<Parameters> {}

impl Signature<()> for TaskDefinition {}

impl<F, T, Running> Signature<(T,)> for F where F: Fn(T) -> Running {}

impl<F, T, C, Running> Signature<(T, Context<C>)> for F where F: Fn(T, Context<C>) -> Running {}

impl<S> IntoTask<S, ()> for TaskDefinition {
    fn into_task(self, _: &S) -> TaskDefinition {
        self
    }
}

impl<S, T, F, Fut, R, E> IntoTask<S, (T,)> for F
where
    T: Task,
    T::Output: Yields<R>,
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Serialize + Send + 'static,
    E: Into<TaskError> + 'static,
{
    fn into_task(self, _: &S) -> TaskDefinition {
        define::<T, _, _>(move |task, _| finished(self(task)))
    }
}

impl<S, C, T, F, Fut, R, E> IntoTask<S, (T, Context<C>)> for F
where
    C: FromState<S> + Send + Sync + 'static,
    T: Task,
    T::Output: Yields<R>,
    F: Fn(T, Context<C>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Serialize + Send + 'static,
    E: Into<TaskError> + 'static,
{
    fn into_task(self, state: &S) -> TaskDefinition {
        let state = Arc::new(C::from_state(state));
        define::<T, _, _>(move |task, run| finished(self(task, Context::shared(run, state.clone()))))
    }
}

/// The task as its type describes it, run by this.
fn define<T, F, Fut>(handler: F) -> TaskDefinition
where
    T: Task,
    F: Fn(T, RunContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = RunResult> + Send + 'static,
{
    TaskDefinition::of::<T>(Arc::new(NativeTask { read: read::<T>, handler }))
}

/// The arguments as the type has them today. A version that is too new never comes here: the message waits for a worker that
/// reads it.
pub(in crate::executor) fn read<T: Task>(message: &Message) -> Result<T, TaskError> {
    // The error's text says all that there is to say.
    T::read(message.args_version, &message.args).map_err(|error| TaskError::BadArguments(error.to_string()))
}

/// The handler's end as the worker takes it.
async fn finished<R: Serialize, E: Into<TaskError>>(
    running: impl Future<Output = Result<R, E>>,
) -> RunResult {
    encode(&running.await.map_err(Into::into)?)
}
