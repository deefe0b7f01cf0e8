//! Tasks written in Rust, in the user's own binary.

mod context;
mod handler;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::name::TaskName;

use super::{Executor, RunContext, RunResult, TaskError};
use crate::registry::TaskDefinition;

pub use context::{Context, FromState, NoState};
pub(super) use handler::read;
pub use handler::{IntoTask, Signature};

/// Nil in `MessagePack`: what `()` and `None` become.
pub(crate) const NIL: &[u8] = &[0xc0];

/// A task from an async closure, by a name of its own: for arguments whose type is no [`Task`](upbeat_shared::typed::Task).
/// They are decoded into the first parameter, whatever their version; the result is encoded and kept.
///
/// ```
/// use serde::Deserialize;
/// use upbeat_shared::name::TaskName;
/// use upbeat_worker::executor::native::native;
/// use upbeat_worker::registry::Registry;
///
/// #[derive(Deserialize)]
/// struct Invoice {
///     customer: u64,
/// }
///
/// let mut registry = Registry::new();
/// registry.add(native(TaskName::new("billing.invoice")?, |invoice: Invoice, run| async move {
///     println!("attempt {} for customer {}", run.attempt, invoice.customer);
///     Ok(invoice.customer)
/// }))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn native<T, R, F, Fut>(name: TaskName, handler: F) -> TaskDefinition
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    F: Fn(T, RunContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
{
    let read = |message: &Message| message.args.decode::<T>().map_err(|error| unfit(&error));
    let handler = move |task, run| {
        let running = handler(task, run);
        async move { encode(&running.await?) }
    };
    TaskDefinition::new(name, Arc::new(NativeTask { read, handler }))
}

/// Runs an async function of a task and its run.
struct NativeTask<T, F> {
    read: fn(&Message) -> Result<T, TaskError>,
    handler: F,
}

#[async_trait]
impl<T, F, Fut> Executor for NativeTask<T, F>
where
    T: Send + 'static,
    F: Fn(T, RunContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = RunResult> + Send + 'static,
{
    async fn run(&self, run: &RunContext) -> RunResult {
        let task = (self.read)(&run.message)?;
        (self.handler)(task, run.clone()).await
    }

    fn describe(&self) -> String {
        "native".to_owned()
    }
}

/// Arguments that will not fit the next time either.
pub(super) fn unfit(error: &dyn std::fmt::Display) -> TaskError {
    TaskError::BadArguments(format!("the arguments do not fit the handler: {error}"))
}

/// What a handler returned, as the ledger keeps it. The work is done: what cannot be encoded would only be done again by
/// a retry.
pub(super) fn encode<R: Serialize>(result: &R) -> RunResult {
    let payload = Payload::msgpack(result)
        .map_err(|error| TaskError::GiveUp(format!("it ran, but its result cannot be encoded: {error}")))?;
    Ok((payload.bytes != NIL).then_some(payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::id::TaskId;
    use upbeat_shared::name::QueueName;

    fn run_of(args: &serde_json::Value) -> RunContext {
        let name = TaskName::new("a").unwrap();
        let id = TaskId::from_foreign(&upbeat_shared::name::Namespace::default(), "a");
        let args = Payload::json(args).unwrap();
        RunContext::detached(Message::new(id, name, QueueName::default_queue(), args))
    }

    #[tokio::test]
    async fn arguments_and_results_are_typed() {
        let task = native(TaskName::new("a").unwrap(), |(a, b): (u32, u32), _| async move { Ok(a + b) });
        let result = task.executor.run(&run_of(&serde_json::json!([1, 2]))).await.unwrap().unwrap();
        assert_eq!(result.decode::<u32>().unwrap(), 3);
    }

    #[tokio::test]
    async fn nothing_returned_is_nothing_kept() {
        let task = native(TaskName::new("a").unwrap(), |(): (), _| async { Ok(()) });
        assert_eq!(task.executor.run(&run_of(&serde_json::Value::Null)).await, Ok(None));
    }

    #[tokio::test]
    async fn arguments_that_do_not_fit_are_not_worth_a_retry() {
        let task = native(TaskName::new("a").unwrap(), |_: u32, _| async { Ok(()) });
        let error = task.executor.run(&run_of(&serde_json::json!("text"))).await.unwrap_err();
        assert!(matches!(&error, TaskError::BadArguments(text) if text.contains("expected u32")), "{error}");
    }
}
