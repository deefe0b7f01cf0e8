//! How a command fails: a sentence for the person, advice if there is any, and an exit code for the script.

use std::fmt;
use std::process::ExitCode;

use upbeat_broker::BeatError;
use upbeat_shared::client::{PublishError, WaitError};
use upbeat_shared::config::{ConfigError, ConfigErrors};
use upbeat_shared::ledger::LedgerError;
use upbeat_shared::name::NameError;
use upbeat_shared::transport::TransportError;
use upbeat_worker::WorkerError;

use super::context::unopened;
use crate::roles::RoleError;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The reader of our output went away: nothing is wrong, nothing is said.
    Quiet = 0,
    /// It was tried, and it failed.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was tried.
    Usage = 2,
    /// The broker or the ledger cannot be reached.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The end of a command that did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For the script.
    pub(crate) exit: Exit,
    /// What was wrong, and where.
    pub(crate) message: String,
    /// What to do.
    pub(crate) advice: Option<String>,
    /// The page that explains it, for `upbeat explain`.
    pub(crate) page: Option<&'static str>,
    /// Each mistake by itself, for programs, where there may be several.
    pub(crate) mistakes: Vec<serde_json::Value>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), advice: None, page: None, mistakes: Vec::new() }
    }

    /// It was tried, and it failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The command line or the configuration is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The broker or the ledger cannot be reached.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    /// What to do about it.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The page that explains it.
    pub(crate) fn page(mut self, page: &'static str) -> Self {
        self.page = Some(page);
        self
    }

    /// The object that `--json` prints on stderr.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::json!({
            "error": self.message,
            "advice": self.advice,
            "page": self.page,
            "exit": self.exit as u8,
        });
        if !self.mistakes.is_empty() {
            object["mistakes"] = self.mistakes.clone().into();
        }
        object
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Only writing to stdout gives bare I/O errors: a closed pipe (`upbeat tasks list | head`) is no failure.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Quiet, "");
        }
        Self::failed(format!("cannot write the output: {error}"))
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let exit = match &error {
            LedgerError::Unavailable(_) | LedgerError::NewerSchema { .. } => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string()).page(error.page())
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::unreachable(error.to_string()).page(error.page())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let exit = match &error {
            PublishError::Invalid(_) | PublishError::Limit(_) => Exit::Usage,
            PublishError::Transport(_) | PublishError::TimedOut(_) => Exit::Unreachable,
            PublishError::Ledger(error) => return error.clone().into(),
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string()).page(error.page())
    }
}

impl From<WaitError> for Failure {
    fn from(error: WaitError) -> Self {
        let failure = Self::failed(error.to_string()).page(error.page());
        match error {
            WaitError::Ledger(error) => error.into(),
            WaitError::TimedOut { id, .. } => {
                failure.advice(format!("it goes on; look at it with `upbeat tasks show {id}`"))
            }
            _ => failure,
        }
    }
}

/// The configuration's errors bring their own headings and advice.
impl From<&ConfigErrors> for Failure {
    fn from(errors: &ConfigErrors) -> Self {
        let text = errors.to_string();
        let mut failure = Self::usage(text.trim_start_matches("error: ").trim_end()).page(errors.page());
        failure.mistakes = errors.iter().map(mistake).collect();
        failure
    }
}

fn mistake(error: &ConfigError) -> serde_json::Value {
    serde_json::json!({
        "message": error.message,
        "place": error.place.to_string(),
        "help": error.help,
    })
}

impl From<BeatError> for Failure {
    fn from(error: BeatError) -> Self {
        let exit = match error {
            BeatError::Ledger(error) => return error.into(),
            BeatError::Timing { .. } | BeatError::Twice(_) => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string()).page(error.page())
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        let exit = match error {
            WorkerError::Ledger(error) => return error.into(),
            WorkerError::Transport(error) => return error.into(),
            WorkerError::Options(_) => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string()).page(error.page())
    }
}

impl From<RoleError> for Failure {
    fn from(error: RoleError) -> Self {
        let exit = match error {
            RoleError::Config(errors) => return (&errors).into(),
            RoleError::Open(error) => return unopened(&error),
            RoleError::Beat(error) => return error.into(),
            RoleError::Worker(error) => return error.into(),
            RoleError::Registry(_) | RoleError::Schedule(_) | RoleError::ScheduledTwice { .. } => Exit::Usage,
            RoleError::Ended(_) | RoleError::Panicked(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string()).page(error.page())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::usage(error.to_string()).page(error.page())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_is_down_exits_with_3_however_it_was_reached() {
        let down = LedgerError::Unavailable("no such host".into());
        assert_eq!(Failure::from(down.clone()).exit, Exit::Unreachable);
        assert_eq!(Failure::from(PublishError::Ledger(down.clone())).exit, Exit::Unreachable);
        assert_eq!(Failure::from(WaitError::Ledger(down)).exit, Exit::Unreachable);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(closed).exit, Exit::Quiet);
    }
}
