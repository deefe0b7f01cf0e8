//! A program that runs tasks of its own.

mod program;
#[cfg(feature = "beat")]
mod schedule;

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use upbeat_shared::client::PublishLayer;
use upbeat_shared::hook::{Dead, Overdue, Retry};
use upbeat_shared::name::TaskName;
use upbeat_worker::{IntoBlockingTask, IntoTask, RunContext, RunLayer, Signature, TaskDefinition, TaskError};

pub(crate) use program::Program;
#[cfg(feature = "beat")]
pub use schedule::{Schedule, ScheduleError};

use crate::roles::{Role, Roles};

/// Every role of Upbeat, with these tasks and schedules. The stock binary is one without any.
///
/// As a program of its own, with every subcommand of `upbeat`:
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use upbeat::prelude::*;
///
/// #[derive(Clone)]
/// struct Mailer;
///
/// #[derive(Serialize, Deserialize, Task)]
/// #[task(name = "welcome", queue = "mail")]
/// struct Welcome {
///     user: u64,
/// }
///
/// async fn welcome(task: Welcome, ctx: Context<Mailer>) -> Result<(), Error> {
///     let _mailer: &Mailer = ctx.state();
///     println!("welcome, user {}", task.user);
///     Ok(())
/// }
///
/// fn main() -> std::process::ExitCode {
///     App::new().state(Mailer).task(welcome).main()
/// }
/// ```
///
/// Or inside a program that has more to do, see [`App::worker`]: nothing is installed then, no signal handler, no log
/// subscriber, no metrics recorder.
#[derive(Clone, Debug, Default)]
pub struct App<S = ()> {
    program: Program,
    state: S,
}

impl App {
    /// Without tasks and state of its own.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> App<S> {
    /// What the program is called in its help, and as the source of its schedules; the executable's name unless told.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.program.name = Some(name.into());
        self
    }

    /// The state that the handlers registered after it can have with [`Context::state`](crate::Context::state). Anything
    /// that is cheap to clone: a pool, a client, a struct of both.
    pub fn state<N>(self, state: N) -> App<N> {
        App { program: self.program, state }
    }

    /// Adds a task: a plain async function of a task's type, see [`IntoTask`], or a [`TaskDefinition`]. Settings under its
    /// name in the configuration win over its type's. Two tasks of one name are refused when a worker starts.
    pub fn task<P, T>(mut self, task: T) -> Self
    where
        T: Signature<P> + IntoTask<S, P>,
    {
        self.program.tasks.push(task.into_task(&self.state));
        self
    }

    /// Adds a task whose handler is a plain function that blocks its thread: it computes, or calls what waits. Such handlers
    /// run on threads of their own, as many as `worker.blocking_threads` says, and cannot keep heartbeats or other tasks
    /// waiting. One that takes long looks at [`Context::is_cancelled`](crate::Context::is_cancelled) now and then: it cannot
    /// be dropped, and keeps its task until it returns.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use upbeat::prelude::*;
    ///
    /// #[derive(Serialize, Deserialize, Task)]
    /// #[task(name = "sum", output = u64)]
    /// struct Sum {
    ///     below: u64,
    /// }
    ///
    /// fn sum(task: Sum) -> Result<u64, Error> {
    ///     Ok((0..task.below).sum())
    /// }
    ///
    /// let app = App::new().task_blocking(sum);
    /// ```
    pub fn task_blocking<P, T>(mut self, task: T) -> Self
    where
        T: Signature<P> + IntoBlockingTask<S, P>,
    {
        self.program.tasks.push(task.into_blocking_task(&self.state));
        self
    }

    /// Puts a layer around every run, inside of those added before: see [`layer`](crate::layer).
    pub fn layer(mut self, layer: impl RunLayer) -> Self {
        self.program.run_layers = self.program.run_layers.with(layer);
        self
    }

    /// Puts a layer around every publish of this program, also by its handlers, inside of those added before.
    pub fn publish_layer(mut self, layer: impl PublishLayer) -> Self {
        self.program.publish_layers = self.program.publish_layers.with(layer);
        self
    }

    /// Calls this when a run failed and its task runs again: see [`hook`](crate::hook).
    pub fn on_retry<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Retry) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.program.hooks = self.program.hooks.on_retry(hook);
        self
    }

    /// Calls this when a task is dead.
    pub fn on_dead<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Dead) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.program.hooks = self.program.hooks.on_dead(hook);
        self
    }

    /// Calls this when an occurrence's task has not started long after its instant.
    pub fn on_overdue<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Overdue) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.program.hooks = self.program.hooks.on_overdue(hook);
        self
    }

    /// Adds a schedule, beside those of configuration files. Two of one id are refused when a beat starts.
    #[cfg(feature = "beat")]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.program.schedules.push(schedule);
        self
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
        // Before anything reads or writes: this process may be for one task alone.
        #[cfg(unix)]
        let suspect = upbeat_worker::suspect::SuspectChild::enter();
        // One TLS provider for whatever connects. An error says that the user's program installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let args: Vec<std::ffi::OsString> = args.into_iter().map(Into::into).collect();
        #[cfg(unix)]
        if let Some(suspect) = suspect {
            crate::cli::run_suspect(&self.program, &args, suspect);
        }
        let suspects = upbeat_worker::suspect::SuspectProgram::this().ok();
        crate::cli::run(Program { suspects, ..self.program }, &args)
    }

    /// Its tasks and schedules.
    #[cfg(all(feature = "testing", feature = "beat"))]
    pub(crate) fn into_program(self) -> Program {
        self.program
    }

    /// A worker inside a tokio program that has more to do. Nothing global is touched.
    ///
    /// ```no_run
    /// # use upbeat::prelude::*;
    /// # async fn example(app: App, shutdown: tokio_util::sync::CancellationToken) -> Result<(), RoleError> {
    /// // As upbeat.toml and the environment say; see `Roles` for more.
    /// app.worker().run_until(shutdown).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker(self) -> Roles {
        Roles::new(self.program, &[Role::Worker])
    }

    /// A beat inside a tokio program that has more to do.
    #[cfg(feature = "beat")]
    pub fn beat(self) -> Roles {
        Roles::new(self.program, &[Role::Beat])
    }

    /// A beat and a worker inside a tokio program that has more to do: all of Upbeat in one process.
    #[cfg(feature = "beat")]
    pub fn up(self) -> Roles {
        Roles::new(self.program, &[Role::Beat, Role::Worker])
    }
}

/// A task by a name of its own, for arguments whose type is no [`Task`](crate::Task): they are decoded into the closure's
/// first parameter, its result is encoded and kept.
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
/// let app = App::new().task(task);
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
