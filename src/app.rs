//! A program that runs tasks of its own.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use upbeat_shared::name::TaskName;
use upbeat_shared::typed::{Task, TaskSettings};
use upbeat_worker::{RunContext, TaskDefinition, TaskError};

/// Every role of Upbeat, with these tasks. The stock binary is one without any.
#[derive(Clone, Debug, Default)]
pub struct App {
    name: Option<String>,
    tasks: Vec<TaskDefinition>,
}

impl App {
    /// Without tasks of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the program is called in its help; `upbeat` unless told.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a task, usually made by [`native`]. Settings under its name in the configuration win over its own. Two
    /// tasks of one name are refused when a worker starts.
    pub fn task(mut self, task: TaskDefinition) -> Self {
        self.tasks.push(task);
        self
    }

    /// What the program is called.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its own tasks.
    pub fn tasks(&self) -> &[TaskDefinition] {
        &self.tasks
    }

    /// Runs the command line of this process, and answers its exit code: 0 done, 1 failed, 2 usage or configuration,
    /// 3 cannot reach broker or ledger. Roles install signal handlers and a log subscriber: call it from `main`.
    #[cfg(feature = "cli")]
    pub fn main(self) -> std::process::ExitCode {
        self.run_cli(std::env::args_os())
    }

    /// As [`App::main`], with these arguments; the first is the program's name.
    #[cfg(feature = "cli")]
    pub fn run_cli(
        self,
        args: impl IntoIterator<Item = impl Into<std::ffi::OsString>>,
    ) -> std::process::ExitCode {
        upbeat_shared::failpoint::arm();
        // One TLS provider for whatever connects. An error says that the user's program installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let args: Vec<std::ffi::OsString> = args.into_iter().map(Into::into).collect();
        crate::cli::run(self, &args)
    }
}

/// A task written in Rust: arguments are decoded into the closure's first parameter, its result is encoded and kept.
///
/// # Panics
///
/// If the name breaks the rules of [`TaskName`]: it is a constant of the program, and wrong from its first start.
///
/// ```
/// use upbeat::prelude::*;
///
/// let task = native("sum", |(a, b): (u32, u32), _run| async move { Ok(a + b) });
/// assert_eq!(task.name.as_str(), "sum");
/// ```
pub fn native<T, R, F, Fut>(name: &str, handler: F) -> TaskDefinition
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    F: Fn(T, RunContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
{
    let name = TaskName::new(name).expect("the name of a native task follows the rules of task names");
    upbeat_worker::executor::native::native(name, handler)
}

/// A task written in Rust whose arguments' type says which task it is: name, queue, timeout and attempts come from there.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use upbeat::prelude::*;
///
/// #[derive(Serialize, Deserialize, Task)]
/// #[task(name = "billing.invoice", queue = "billing", timeout = "30s", max_attempts = 5)]
/// struct Invoice {
///     customer: u64,
/// }
///
/// let task = typed(|invoice: Invoice, _run| async move { Ok(invoice.customer) });
/// assert_eq!(task.name.as_str(), "billing.invoice");
/// assert_eq!(task.timeout.map(|timeout| timeout.as_secs()), Some(30));
///
/// let published = NewTask::of(&Invoice { customer: 7 })?;
/// assert_eq!(published.queue.as_str(), "billing");
/// assert_eq!(published.retry.map(|retry| retry.max_attempts), Some(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// If the type was given a name by hand that breaks the rules of names; a derived one is checked when it is compiled.
pub fn typed<T, R, F, Fut>(handler: F) -> TaskDefinition
where
    T: Task,
    R: Serialize + Send + 'static,
    F: Fn(T, RunContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
{
    let TaskSettings { name, queue, timeout, retry, ack_when_claimed, .. } = TaskSettings::of::<T>();
    let task = upbeat_worker::executor::native::native(name, handler);
    TaskDefinition { queue, timeout, retry, ack_when_claimed, ..task }
}
