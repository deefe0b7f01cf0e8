//! Runs: what the world's worker did, one after the other.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::id::TaskId;
use upbeat_shared::message::Payload;
use upbeat_shared::name::{QueueName, TaskName};
use upbeat_shared::task::TaskRecord;
use upbeat_shared::verdict::{RunError, Verdict};

/// One run of one task.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The task's id.
    pub id: TaskId,
    /// The task's name.
    pub name: TaskName,
    /// The queue that it came through.
    pub queue: QueueName,
    /// The task's arguments.
    pub args: Payload,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// When it ran, by the world's clock.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, if it did.
    pub error: Option<RunError>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It did what it had to.
    Succeeded,
    /// It failed, and runs again after this delay.
    Retried {
        /// Counted from the run.
        delay: Duration,
    },
    /// It asked to run again after this delay.
    Snoozed {
        /// Counted from the run.
        delay: Duration,
    },
    /// It failed for good.
    Dead,
    /// It was cancelled, by itself or by somebody else.
    Cancelled {
        /// By whom or why.
        reason: String,
    },
    /// The worker gave it back: it runs again at once.
    Released,
}

impl Run {
    /// Of a verdict that was settled, and the row as it is then.
    pub(super) fn of(record: &TaskRecord, verdict: Verdict, at: Timestamp) -> Self {
        // The row has counted a failure of this run already.
        let counted = matches!(verdict, Verdict::Retry { .. } | Verdict::Dead { .. });
        let message = &record.message;
        let attempt = if counted { message.attempts } else { message.attempts + 1 };
        let cancelled = record.state == upbeat_shared::task::TaskState::Cancelled;
        let reason = || record.note.clone().unwrap_or_default();
        let (outcome, error) = match verdict {
            Verdict::Succeeded { .. } => (Outcome::Succeeded, None),
            Verdict::Cancelled { reason } => (Outcome::Cancelled { reason }, None),
            Verdict::Retry { error, .. } | Verdict::Dead { error } | Verdict::Crashed { error, .. }
                if cancelled =>
            {
                (Outcome::Cancelled { reason: reason() }, Some(error))
            }
            Verdict::Snooze { .. } | Verdict::Released { .. } if cancelled => {
                (Outcome::Cancelled { reason: reason() }, None)
            }
            Verdict::Retry { delay, error } | Verdict::Crashed { error, again: Some(delay) } => {
                (Outcome::Retried { delay }, Some(error))
            }
            Verdict::Dead { error } | Verdict::Crashed { error, again: None } => (Outcome::Dead, Some(error)),
            Verdict::Snooze { delay } => (Outcome::Snoozed { delay }, None),
            Verdict::Released { .. } => (Outcome::Released, None),
        };
        let (name, queue, args) = (message.name.clone(), message.queue.clone(), message.args.clone());
        Self { id: message.id, name, queue, args, attempt, at, outcome, error }
    }
}

/// In one line, as failing tests show it.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.name, self.args.to_json(), self.at)?;
        if self.attempt > 1 {
            write!(f, ", attempt {}", self.attempt)?;
        }
        write!(f, ": {}", self.outcome)?;
        match &self.error {
            Some(error) => write!(f, ": {}: {}", error.kind.as_str(), error.message),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded"),
            Self::Retried { delay } => write!(f, "failed, runs again in {delay:?}"),
            Self::Snoozed { delay } => write!(f, "snoozed for {delay:?}"),
            Self::Dead => f.write_str("failed for good"),
            Self::Cancelled { reason } => write!(f, "cancelled ({reason})"),
            Self::Released => f.write_str("given back"),
        }
    }
}
