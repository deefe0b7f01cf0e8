//! What runs a task: Rust code, a program, or somebody's HTTP endpoint.
//!
//! An executor runs one message once and says how it ended. It never touches the ledger or the broker: what becomes of
//! its answer is decided by the worker.

pub mod blocking;
#[cfg(feature = "command")]
pub mod command;
mod error;
#[cfg(feature = "http")]
pub mod http;
pub mod native;
#[cfg(any(feature = "command", feature = "http"))]
mod output;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use upbeat_shared::client::Client;
use upbeat_shared::clock::{self, StoreClock, SystemClock};
use upbeat_shared::id::{Fence, OwnerId, TaskId, Token};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::progress::Progress;

use crate::job::committed::Committed;
use crate::progress::Reporter;

use blocking::Seat;
pub use error::{ResultExt, TaskError};

/// How a run ended: with a result worth keeping or none, or with an error that says what is to be done.
pub type RunResult = Result<Option<Payload>, TaskError>;

/// Runs tasks of one name.
///
/// The future may be dropped at any await: when the run is out of time or cancelled and did not obey, and when the
/// worker stops. What must not outlive the run is tied to values that are dropped with it.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Runs one message once.
    async fn run(&self, run: &RunContext) -> RunResult;

    /// Whether a run sits on a thread that cannot be taken from it. Such a run waits for one of the worker's threads before
    /// its time counts, and is not dropped before it has given it back.
    fn is_blocking(&self) -> bool {
        false
    }

    /// Whether what it does is done elsewhere, so that its end is not this process's end: a program, an endpoint. Anything else
    /// runs in a process of its own once its task is a suspect.
    fn runs_apart(&self) -> bool {
        false
    }

    /// For logs and listings: what it is, without secrets.
    fn describe(&self) -> String;
}

/// One run of one task, as its handler sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// What was published.
    pub message: Arc<Message>,
    /// Which attempt this is, from 1. Grows with failures that the task reported.
    pub attempt: u32,
    /// Workers lost while they ran this task.
    pub crashes: u32,
    /// Grows with every run of this task. Whoever writes to a place of its own can keep the highest fence there, and
    /// refuse a write with a lower one.
    pub fence: Fence,
    /// The claim's own number. Whoever knows it, with the id and the fence, may settle the run: see `docs/transactions.md`.
    pub token: Token,
    /// When the run is out of time, in the store's time: by its timeout, or by the task's deadline if that comes first.
    pub deadline: Timestamp,
    /// Cancelled when the run should stop: out of time, cancelled by somebody, or its worker stops. A handler that
    /// does not return soon after is dropped; one that blocks its thread asks `is_cancelled()` now and then, and returns.
    pub cancel: CancellationToken,
    /// Cancelled when the run should wind up: at its soft timeout, if its task has one, or with [`RunContext::cancel`]. Unlike
    /// then, nobody drops it: there is time until the deadline.
    pub soft_timeout: CancellationToken,
    /// Publishes further tasks, in the trace of this one.
    pub client: Option<Client>,
    pub(crate) clock: Arc<StoreClock>,
    /// The thread that a blocking handler runs on.
    pub(crate) seat: Option<Arc<Seat>>,
    pub(crate) reporter: Reporter,
    #[cfg_attr(
        not(any(feature = "embedded", feature = "postgres")),
        allow(dead_code, reason = "runs settle themselves in transactions of such ledgers")
    )]
    pub(crate) owner: OwnerId,
    /// Whether the run has settled itself.
    #[cfg_attr(
        not(any(feature = "embedded", feature = "postgres")),
        allow(dead_code, reason = "runs settle themselves in transactions of such ledgers")
    )]
    pub(crate) committed: Arc<Committed>,
}

impl RunContext {
    /// A run outside of any worker, for trying a handler or an executor by itself: first attempt, an hour to go.
    pub fn detached(message: Message) -> Self {
        let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
        let deadline = clock::later(clock.clock().wall(), Duration::from_hours(1));
        let cancel = CancellationToken::new();
        Self {
            attempt: message.attempts + 1,
            crashes: message.crashes,
            message: Arc::new(message),
            fence: Fence(1),
            token: Token(0),
            deadline,
            soft_timeout: cancel.child_token(),
            cancel,
            client: None,
            clock,
            seat: None,
            reporter: Reporter::default(),
            owner: OwnerId::random(),
            committed: Arc::default(),
        }
    }

    /// The task's id: the same in every attempt.
    pub fn id(&self) -> TaskId {
        self.message.id
    }

    /// The store's time; this host's own where no store was met yet.
    pub fn now(&self) -> Timestamp {
        self.clock.now().unwrap_or_else(|| self.clock.clock().wall())
    }

    /// Says how far the run has come, for those who look: `upbeat tasks show` and whoever waits for the result.
    ///
    /// It may be called as often as is convenient. Nothing is written for it: the newest rides on the worker's heartbeats, so
    /// that it is seen some seconds later (the first within about one), and is gone with the run. Of a worker's runs, the
    /// [256](upbeat_shared::member::MemberInfo::MAX_PROGRESS) that spoke last are shown.
    pub fn progress(&self, done: u64, total: Option<u64>, note: impl Into<String>) {
        self.reporter.tell(self.clock.clock().monotonic(), Progress::new(done, total, note));
    }

    /// What it has said last of how far it has come.
    pub fn last_progress(&self) -> Option<Progress> {
        self.reporter.latest.get().map(|(_, progress)| progress)
    }

    /// How long the run may still take.
    pub fn remaining(&self) -> Duration {
        clock::until(self.now(), self.deadline)
    }
}
