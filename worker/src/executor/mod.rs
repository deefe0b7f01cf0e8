//! What runs a task: Rust code, a program, or somebody's HTTP endpoint.
//!
//! An executor runs one message once and says how it ended. It never touches the ledger or the broker: what becomes of
//! its answer is decided by the worker.

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
use upbeat_shared::id::{Fence, TaskId};
use upbeat_shared::message::{Message, Payload};

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
    /// When the run is out of time, in the store's time.
    pub deadline: Timestamp,
    /// Cancelled when the run should stop: out of time, cancelled by somebody, or its worker stops. A handler that
    /// does not return soon after is dropped.
    pub cancel: CancellationToken,
    /// Publishes further tasks, in the trace of this one.
    pub client: Option<Client>,
    pub(crate) clock: Arc<StoreClock>,
}

impl RunContext {
    /// A run outside of any worker, for trying a handler or an executor by itself: first attempt, an hour to go.
    pub fn detached(message: Message) -> Self {
        let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
        let deadline = clock::later(clock.clock().wall(), Duration::from_hours(1));
        Self {
            attempt: message.attempts + 1,
            crashes: message.crashes,
            message: Arc::new(message),
            fence: Fence(1),
            deadline,
            cancel: CancellationToken::new(),
            client: None,
            clock,
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

    /// How long the run may still take.
    pub fn remaining(&self) -> Duration {
        clock::until(self.now(), self.deadline)
    }
}
