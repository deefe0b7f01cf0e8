//! What becomes of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::Payload;

/// Decided by the worker after a run, then settled in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is done.
    Succeeded {
        /// What the handler returned, if anything.
        result: Option<Payload>,
    },
    /// It failed and runs again after the delay; an attempt is counted.
    Retry {
        /// From the store's now.
        delay: Duration,
        /// Why it failed.
        error: RunError,
    },
    /// It asked to run again later; no attempt is counted.
    Snooze {
        /// From the store's now.
        delay: Duration,
    },
    /// It failed for good; kept with arguments and error until dropped. An attempt is counted.
    Dead {
        /// Why it failed.
        error: RunError,
    },
    /// It ended because it was told to.
    Cancelled {
        /// By whom or why.
        reason: String,
    },
    /// It ran alone, in a process of its own, which died of it; a crash is counted.
    Crashed {
        /// How the process died, and its last output.
        error: RunError,
        /// From the store's now; `None` where that happened too often: it is dead.
        again: Option<Duration>,
    },
    /// The worker gave it back unfinished (shutdown, a lease it could not renew): due again at once, nothing counted.
    Released {
        /// Why.
        reason: String,
    },
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// What kind of end it was.
    pub kind: RunErrorKind,
    /// For a person; at most [`RunError::MAX_BYTES`] long.
    pub message: String,
    /// What it was, for programs: see [`ErrorClass`](crate::reaction::ErrorClass).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The kinds of failure, as shown in records and counted in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunErrorKind {
    /// The handler returned an error.
    Failed,
    /// The handler panicked.
    Panicked,
    /// It ran longer than it may.
    TimedOut,
    /// The arguments do not fit the handler.
    BadArguments,
    /// Its deadline came before it had succeeded.
    Deadline,
    /// Workers were lost while it ran, more often than allowed.
    Crashed,
    /// No worker knew the task's name for too long.
    UnknownName,
    /// Its message came after its id could have been forgotten.
    Stale,
    /// Its message could not be understood.
    Undeliverable,
}

impl RunErrorKind {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(self) -> &'static str {
        match self {
            Self::Failed => "task-failed",
            Self::Panicked => "task-panicked",
            Self::TimedOut => "task-timed-out",
            Self::BadArguments => "task-bad-arguments",
            Self::Deadline => "task-deadline",
            Self::Crashed => "task-crashed",
            Self::UnknownName => "task-unknown-name",
            Self::Stale => "task-stale",
            Self::Undeliverable => "task-undeliverable",
        }
    }

    /// As in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::BadArguments => "bad_arguments",
            Self::Deadline => "deadline",
            Self::Crashed => "crashed",
            Self::UnknownName => "unknown_name",
            Self::Stale => "stale",
            Self::Undeliverable => "undeliverable",
        }
    }
}

impl RunError {
    /// As records show it.
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({ "kind": self.kind.as_str(), "message": self.message });
        if let Some(code) = &self.code {
            json["code"] = code.as_str().into();
        }
        json
    }

    /// Longer messages are cut.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Cuts the message to its bound.
    pub fn new(kind: RunErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::MAX_BYTES {
            let mut end = Self::MAX_BYTES;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
            message.push_str(" … (cut)");
        }
        Self { kind, message, code: None }
    }

    /// With a code of its own; a longer one than [`ErrorClass::MAX_BYTES`](crate::reaction::ErrorClass::MAX_BYTES) is left
    /// out.
    pub fn coded(mut self, code: Option<String>) -> Self {
        self.code = code.filter(|code| code.len() <= crate::reaction::ErrorClass::MAX_BYTES);
        self
    }
}
