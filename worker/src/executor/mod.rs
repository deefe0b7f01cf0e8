//! What runs a task: Rust code, a program, or somebody's HTTP endpoint.
//!
//! An executor runs one message once and says how it ended. It never touches the ledger or the broker: what becomes of
//! its answer is decided by the worker.

#[cfg(feature = "command")]
pub mod command;
#[cfg(feature = "http")]
pub mod http;
pub mod native;
#[cfg(any(feature = "command", feature = "http"))]
mod output;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use upbeat_shared::client::Client;
use upbeat_shared::clock::{self, StoreClock, SystemClock};
use upbeat_shared::id::{Fence, TaskId};
use upbeat_shared::message::{Message, Payload};

/// Runs tasks of one name.
///
/// The future may be dropped at any await: when the run is out of time or cancelled and did not obey, and when the
/// worker stops. What must not outlive the run is tied to values that are dropped with it.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Runs one message once. `Ok` is success, with a result worth keeping or none.
    async fn run(&self, run: &RunContext) -> Result<Option<Payload>, TaskError>;

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

/// How a run ended that was no success.
///
/// Every error that can be boxed (of the standard library, `anyhow`, a plain text) turns into [`TaskError::Retry`] with
/// `?`. It is no [`std::error::Error`] itself, which makes that possible.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// It failed; try again as the retry policy says.
    Retry(String),
    /// It failed; try again after this delay, if the retry policy leaves an attempt.
    RetryAfter {
        /// How long to wait.
        delay: Duration,
        /// Why it failed.
        message: String,
    },
    /// Not now: run it again after this delay. No attempt is counted.
    Snooze {
        /// How long to wait.
        delay: Duration,
    },
    /// It failed and will never succeed.
    GiveUp(String),
    /// It need not be done any more.
    Cancel(String),
    /// The arguments do not fit; they will not fit the next time either.
    BadArguments(String),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(message)
            | Self::RetryAfter { message, .. }
            | Self::GiveUp(message)
            | Self::BadArguments(message) => f.write_str(message),
            Self::Snooze { delay } => write!(f, "snoozed for {delay:?}"),
            Self::Cancel(reason) => write!(f, "cancelled: {reason}"),
        }
    }
}

impl<E> From<E> for TaskError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// With every cause, outermost first.
    fn from(error: E) -> Self {
        let error: Box<dyn std::error::Error + Send + Sync> = error.into();
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            // Many errors repeat their cause in their own text.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self::Retry(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot send the invoice")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn any_error_becomes_a_retry_with_all_its_causes() {
        fn fails() -> Result<(), TaskError> {
            let number = "x".parse::<u32>().map_err(Outer)?;
            unreachable!("{number} is no number");
        }
        let error = fails().unwrap_err();
        assert_eq!(error.to_string(), "cannot send the invoice: invalid digit found in string");
        assert_eq!(TaskError::from("plain"), TaskError::Retry("plain".into()));
    }
}
