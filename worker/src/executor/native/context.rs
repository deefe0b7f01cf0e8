//! What a handler is given beside its task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use upbeat_shared::client::Client;
use upbeat_shared::id::{Fence, TaskId};
use upbeat_shared::message::{Message, Planned};

use super::super::RunContext;

/// One run of one task, and the program's state. Cheap to clone.
///
/// `S` is the type of the state that the program was given, or a part of it (see [`FromState`]); leave it out in handlers
/// that need none.
///
/// ```
/// # use upbeat_worker::{Context, TaskError};
/// # #[derive(Clone)] struct Database;
/// # impl Database { async fn charge(&self, _: u64, _: i64) -> Result<(), std::io::Error> { Ok(()) } }
/// # struct Invoice { customer: u64 }
/// async fn send_invoice(invoice: Invoice, ctx: Context<Database>) -> Result<(), TaskError> {
///     if ctx.attempt() > 1 {
///         tracing::info!(id = %ctx.id(), "trying again");
///     }
///     // The fence grows with every run of a task: whoever keeps the highest one can refuse a straggler's write.
///     ctx.state().charge(invoice.customer, ctx.fence().0).await?;
///     Ok(())
/// }
/// ```
pub struct Context<S = NoState> {
    run: RunContext,
    state: Arc<S>,
}

impl<S> Context<S> {
    /// A run with this state, for calling a handler by hand. In tests, a world of `upbeat::testing` does more.
    pub fn new(run: RunContext, state: S) -> Self {
        Self::shared(run, Arc::new(state))
    }

    pub(in crate::executor) fn shared(run: RunContext, state: Arc<S>) -> Self {
        Self { run, state }
    }

    /// What the program was given with `App::state`.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The task's id: the same in every attempt, and so a key for whatever must happen once.
    pub fn id(&self) -> TaskId {
        self.run.id()
    }

    /// Which attempt this is, from 1. Grows with failures that the task reported.
    pub fn attempt(&self) -> u32 {
        self.run.attempt
    }

    /// Workers lost while they ran this task.
    pub fn crashes(&self) -> u32 {
        self.run.crashes
    }

    /// Grows with every run of this task.
    pub fn fence(&self) -> Fence {
        self.run.fence
    }

    /// The store's time.
    pub fn now(&self) -> Timestamp {
        self.run.now()
    }

    /// When the run is out of time, in the store's time: by its timeout, or by the task's deadline if that comes first.
    pub fn deadline(&self) -> Timestamp {
        self.run.deadline
    }

    /// How long the run may still take.
    pub fn remaining(&self) -> Duration {
        self.run.remaining()
    }

    /// Says how far the run has come, for those who look; as often as is convenient, see [`RunContext::progress`].
    pub fn progress(&self, done: u64, total: Option<u64>, note: impl Into<String>) {
        self.run.progress(done, total, note);
    }

    /// Waits until the run should stop: it is out of time, somebody cancelled it, or its worker stops. A handler that does
    /// not return soon after is dropped.
    pub async fn cancelled(&self) {
        self.run.cancel.cancelled().await;
    }

    /// Whether the run should stop; for loops that do not wait.
    pub fn is_cancelled(&self) -> bool {
        self.run.cancel.is_cancelled()
    }

    /// Waits until the run should wind up: at its soft timeout, if its task has one, or when it should stop. There is time then
    /// until the deadline to write down how far it has come.
    ///
    /// ```
    /// # use upbeat_worker::{Context, TaskError};
    /// # struct Import { from: u64 }
    /// # async fn import_page(_: u64) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn import(task: Import, ctx: Context) -> Result<(), TaskError> {
    ///     for page in task.from.. {
    ///         if ctx.is_past_soft_timeout() {
    ///             return Err(TaskError::retry(format!("it came as far as page {page}")).code("unfinished"));
    ///         }
    ///         import_page(page).await?;
    /// #       break;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn soft_timeout(&self) {
        self.run.soft_timeout.cancelled().await;
    }

    /// Whether the run should wind up; for loops that do not wait.
    pub fn is_past_soft_timeout(&self) -> bool {
        self.run.soft_timeout.is_cancelled()
    }

    /// For handing on to code that knows how to be cancelled.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.run.cancel
    }

    /// Publishes further tasks, in the trace of this one.
    ///
    /// # Panics
    ///
    /// In a run outside of any worker (see [`RunContext::detached`]): there is no broker.
    pub fn client(&self) -> &Client {
        self.run
            .client
            .as_ref()
            .expect("a run outside of a worker has no client; use a world of upbeat::testing")
    }

    /// The schedule and the planned instant, if a schedule made this task.
    pub fn planned(&self) -> Option<&Planned> {
        self.run.message.occurrence.as_ref()
    }

    /// The labels that it was published with.
    pub fn tags(&self) -> &[String] {
        &self.run.message.tags
    }

    /// What was published, whole.
    pub fn message(&self) -> &Message {
        &self.run.message
    }

    /// The run as executors see it.
    pub fn run(&self) -> &RunContext {
        &self.run
    }
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self { run: self.run.clone(), state: self.state.clone() }
    }
}

impl<S> fmt::Debug for Context<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("run", &self.run).finish_non_exhaustive()
    }
}

/// The state of a handler that asks for none: a plain [`Context`].
// Not `Clone`, and never to be: it keeps the two implementations of `FromState` apart.
#[derive(Debug)]
pub struct NoState(());

/// A part of the program's state that handlers may ask for on its own.
///
/// Every state is a part of itself; other parts are told how to be had:
///
/// ```
/// use upbeat_worker::FromState;
///
/// #[derive(Clone)]
/// struct Database;
/// #[derive(Clone)]
/// struct Mailer;
/// #[derive(Clone)]
/// struct AppState {
///     database: Database,
///     mailer: Mailer,
/// }
///
/// // Handlers may take a `Context<AppState>`, and now a `Context<Mailer>` as well.
/// impl FromState<AppState> for Mailer {
///     fn from_state(state: &AppState) -> Self {
///         state.mailer.clone()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the program's state is `{S}`, and `{Self}` is no part of it",
    note = "give the state before the tasks that need it: `App::new().state(…).task(…)`",
    note = "a part of the state needs `impl FromState<{S}> for {Self}`"
)]
pub trait FromState<S>: Sized {
    /// The part. Made once for each task, when it is registered.
    fn from_state(state: &S) -> Self;
}

impl<S: Clone> FromState<S> for S {
    fn from_state(state: &S) -> Self {
        state.clone()
    }
}

impl<S> FromState<S> for NoState {
    fn from_state(_: &S) -> Self {
        Self(())
    }
}
