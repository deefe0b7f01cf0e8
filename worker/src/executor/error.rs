//! How a run ends that is no success.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a run ended that was no success.
///
/// Every error that can be boxed (of the standard library, `anyhow`, a plain text) turns into [`TaskError::Retry`] with
/// `?`. It is no [`std::error::Error`] itself, which makes that possible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// An error with a code, by which the task may say what is to become of it. Made with [`TaskError::code`].
    Coded {
        /// What it was, for programs.
        code: String,
        /// What is to be done unless the task says something else; no coded one.
        error: Box<TaskError>,
    },
    /// It ran alone, in a process of its own, which died of it. Made by the worker, never by handlers.
    Crashed(String),
}

impl TaskError {
    /// It failed; try again as the retry policy says. What `?` makes of any error.
    pub fn retry(error: impl IntoMessage) -> Self {
        Self::Retry(error.into_message())
    }

    /// It failed; try again after this delay, if the retry policy leaves an attempt.
    pub fn retry_after(delay: Duration, error: impl IntoMessage) -> Self {
        Self::RetryAfter { delay, message: error.into_message() }
    }

    /// Not now: run it again after this delay. No attempt is counted.
    pub fn snooze(delay: Duration) -> Self {
        Self::Snooze { delay }
    }

    /// It failed and will never succeed: the task is dead, whatever attempts are left.
    pub fn give_up(error: impl IntoMessage) -> Self {
        Self::GiveUp(error.into_message())
    }

    /// Gives a failure a code: 1 to 64 letters, digits and `_ - .`. What the task says of it, in the configuration
    /// (`on.card_declined = { give_up = true }`) or in Rust ([`TaskDefinition::on`](crate::TaskDefinition::on)), counts; else
    /// the error as it is. The last code that it was given counts.
    ///
    /// ```
    /// use upbeat_worker::TaskError;
    ///
    /// async fn charge(card: String) -> Result<(), TaskError> {
    ///     if card.is_empty() {
    ///         return Err(TaskError::retry("the bank says no").code("card_declined"));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn code(self, code: impl Into<String>) -> Self {
        let error = match self {
            Self::Coded { error, .. } => error,
            other => Box::new(other),
        };
        Self::Coded { code: code.into(), error }
    }

    /// The code, if it has one, and the error without it.
    pub fn into_parts(self) -> (Option<String>, Self) {
        match self {
            Self::Coded { code, error } => (Some(code), *error),
            other => (None, other),
        }
    }

    /// It need not be done any more: the task is cancelled, which is no failure.
    pub fn cancel(reason: impl IntoMessage) -> Self {
        Self::Cancel(reason.into_message())
    }
}

/// Whatever can be boxed as an error: errors of the standard library, `anyhow`'s, a plain text.
pub trait IntoMessage {
    /// For a person, with every cause, outermost first.
    fn into_message(self) -> String;
}

impl<E> IntoMessage for E
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn into_message(self) -> String {
        let error: Box<dyn std::error::Error + Send + Sync> = self.into();
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
        message
    }
}

/// Says at a `?` what is to be done about an error.
///
/// ```
/// use std::time::Duration;
/// use upbeat_worker::{ResultExt, TaskError};
///
/// # fn parse(text: &str) -> Result<u32, std::num::ParseIntError> { text.parse() }
/// # fn send(_: u32) -> Result<(), std::io::Error> { Ok(()) }
/// async fn handler(text: String) -> Result<(), TaskError> {
///     let number = parse(&text).or_give_up()?; // no retry mends it
///     send(number).or_retry_after(Duration::from_secs(60))?;
///     send(number)?; // as the retry policy says
///     Ok(())
/// }
/// ```
pub trait ResultExt<T> {
    /// It will never succeed: the task is dead at once.
    fn or_give_up(self) -> Result<T, TaskError>;
    /// Try again after this delay, if the retry policy leaves an attempt.
    fn or_retry_after(self, delay: Duration) -> Result<T, TaskError>;
    /// Not now: run it again after this delay. No attempt is counted.
    fn or_snooze(self, delay: Duration) -> Result<T, TaskError>;
    /// It need not be done any more.
    fn or_cancel(self) -> Result<T, TaskError>;
    /// It is a failure with this code: what the task says of that counts, or else the retry policy.
    fn or_code(self, code: &str) -> Result<T, TaskError>;
}

impl<T, E: IntoMessage> ResultExt<T> for Result<T, E> {
    fn or_give_up(self) -> Result<T, TaskError> {
        self.map_err(TaskError::give_up)
    }

    fn or_retry_after(self, delay: Duration) -> Result<T, TaskError> {
        self.map_err(|error| TaskError::retry_after(delay, error))
    }

    fn or_snooze(self, delay: Duration) -> Result<T, TaskError> {
        self.map_err(|error| {
            tracing::debug!(error = error.into_message(), "the run is put off");
            TaskError::snooze(delay)
        })
    }

    fn or_cancel(self) -> Result<T, TaskError> {
        self.map_err(TaskError::cancel)
    }

    fn or_code(self, code: &str) -> Result<T, TaskError> {
        self.map_err(|error| TaskError::retry(error).code(code))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(message)
            | Self::RetryAfter { message, .. }
            | Self::GiveUp(message)
            | Self::BadArguments(message)
            | Self::Crashed(message) => f.write_str(message),
            Self::Coded { error, .. } => error.fmt(f),
            Self::Snooze { delay } => write!(f, "snoozed for {delay:?}"),
            Self::Cancel(reason) => write!(f, "cancelled: {reason}"),
        }
    }
}

impl<E> From<E> for TaskError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn from(error: E) -> Self {
        Self::retry(error)
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

    #[test]
    fn a_question_mark_says_what_is_to_be_done() {
        let fails = || "x".parse::<u32>();
        let minute = Duration::from_mins(1);
        let message = || "invalid digit found in string".to_owned();
        assert_eq!(fails().or_give_up(), Err(TaskError::GiveUp(message())));
        assert_eq!(fails().or_cancel(), Err(TaskError::Cancel(message())));
        let coded = TaskError::Coded { code: "b".into(), error: Box::new(TaskError::Retry(message())) };
        assert_eq!(fails().or_code("a").map_err(|error| error.code("b")), Err(coded));
        assert_eq!(fails().or_snooze(minute), Err(TaskError::Snooze { delay: minute }));
        let later = TaskError::RetryAfter { delay: minute, message: message() };
        assert_eq!(fails().or_retry_after(minute), Err(later));
    }
}
