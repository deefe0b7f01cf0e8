//! Tasks written in Rust that block their thread: that compute for long, or call what knows nothing of async.
//!
//! They run on threads of the worker's own, as many as [`WorkerOptions::blocking_threads`]. Whatever they do there,
//! heartbeats, async handlers and tokio's own blocking pool go on. A run has its slot and its claim while it waits for a
//! thread; its timeout counts from when it got one.
//!
//! A thread cannot be taken from a handler. One that is told to stop (out of time, cancelled, its worker stops) learns of it
//! by [`RunContext::cancel`] or not at all; until it returns, the task stays claimed and its slot taken, so that no other
//! worker starts it meanwhile. What such a run returns in the end counts as for every other: a success stands. Only a worker
//! that stops does not wait for ever: it tells of such runs in [`WorkerReport::abandoned`] and leaves them to the end of its
//! process.
//!
//! [`WorkerOptions::blocking_threads`]: crate::WorkerOptions::blocking_threads
//! [`WorkerReport::abandoned`]: crate::WorkerReport::abandoned

mod handler;
mod pool;

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use upbeat_shared::message::Message;
use upbeat_shared::name::TaskName;

use super::native::{encode, unfit};
use super::{Executor, RunContext, RunResult, TaskError};
use crate::registry::TaskDefinition;

pub use handler::IntoBlockingTask;
pub(crate) use pool::{Pool, Seat};

/// A task from a plain closure, by a name of its own: as [`native`](super::native::native), for a handler that blocks its
/// thread.
///
/// ```
/// use upbeat_shared::name::TaskName;
/// use upbeat_worker::executor::blocking::blocking;
/// use upbeat_worker::registry::Registry;
/// use upbeat_worker::{RunContext, TaskError};
///
/// let mut registry = Registry::new();
/// registry.add(blocking(TaskName::new("primes.sum")?, |below: u64, run: RunContext| {
///     let mut sum = 0;
///     for n in 2..below {
///         if run.cancel.is_cancelled() {
///             return Err(TaskError::from("told to stop"));
///         }
///         if (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0) {
///             sum += n;
///         }
///     }
///     Ok(sum)
/// }))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn blocking<T, R, F>(name: TaskName, handler: F) -> TaskDefinition
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    F: Fn(T, RunContext) -> Result<R, TaskError> + Send + Sync + 'static,
{
    let read = |message: &Message| message.args.decode::<T>().map_err(|error| unfit(&error));
    let handler = move |task, run| encode(&handler(task, run)?);
    TaskDefinition::new(name, Arc::new(BlockingTask::new(read, handler)))
}

/// Runs a plain function of a task and its run.
struct BlockingTask<T, F> {
    read: fn(&Message) -> Result<T, TaskError>,
    handler: Arc<F>,
}

impl<T, F> BlockingTask<T, F> {
    fn new(read: fn(&Message) -> Result<T, TaskError>, handler: F) -> Self {
        Self { read, handler: Arc::new(handler) }
    }
}

#[async_trait]
impl<T, F> Executor for BlockingTask<T, F>
where
    T: Send + 'static,
    F: Fn(T, RunContext) -> RunResult + Send + Sync + 'static,
{
    async fn run(&self, run: &RunContext) -> RunResult {
        let task = (self.read)(&run.message)?;
        let (handler, context) = (self.handler.clone(), run.clone());
        pool::run_on(run.seat.as_deref(), move || handler(task, context)).await
    }

    fn is_blocking(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "native, blocking".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::id::TaskId;
    use upbeat_shared::message::Payload;
    use upbeat_shared::name::{Namespace, QueueName};

    fn run_of(args: &serde_json::Value) -> RunContext {
        let id = TaskId::from_foreign(&Namespace::default(), "a");
        let args = Payload::json(args).unwrap();
        RunContext::detached(Message::new(id, TaskName::new("a").unwrap(), QueueName::default_queue(), args))
    }

    #[tokio::test]
    async fn a_detached_run_has_a_thread_of_its_own_in_which_the_runtime_is_known() {
        let here = std::thread::current().id();
        let task = blocking(TaskName::new("a").unwrap(), move |n: u32, _| {
            assert_ne!(std::thread::current().id(), here);
            Ok(tokio::runtime::Handle::current().block_on(async { n + 1 }))
        });
        let result = task.executor.run(&run_of(&serde_json::json!(1))).await.unwrap().unwrap();
        assert_eq!(result.decode::<u32>().unwrap(), 2);
    }

    #[tokio::test]
    #[should_panic(expected = "boom")]
    async fn a_panic_comes_back_to_the_run() {
        let task = blocking(TaskName::new("a").unwrap(), |(): (), _| -> Result<(), _> { panic!("boom") });
        let _ = task.executor.run(&run_of(&serde_json::Value::Null)).await;
    }
}
