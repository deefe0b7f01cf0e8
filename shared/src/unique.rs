//! Keys that one task at a time may hold. Says what a key is and how long it is held; never asks a ledger.
//!
//! A key belongs to a task's name: `billing.invoice` and `billing.reminder` may use the same text and never meet. Whoever
//! publishes with a key that another task holds gets that task as the answer, and nothing new is made.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest key.
const MAX_KEY_BYTES: usize = 512;

/// The longest window.
pub(crate) const MAX_WINDOW: Duration = Duration::from_secs(365 * 24 * 3600);

/// A task that there is one of.
///
/// ```
/// use std::time::Duration;
/// use upbeat_shared::unique::{OnTaken, Unique, Until};
///
/// let one_unfinished = Unique::by("customer-7");
/// assert_eq!(one_unfinished.until, Until::Finished);
///
/// let one_an_hour = Unique::by("customer-7").within(Duration::from_secs(3600));
/// let the_newest = Unique::by("customer-7").replacing();
/// assert_eq!(the_newest.on_taken, OnTaken::Replace);
/// # let _ = one_an_hour;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    /// What it is unique by, among the tasks of its name. 1 to 512 bytes.
    pub key: String,
    /// For how long it holds the key.
    pub until: Until,
    /// What becomes of it where another task holds the key.
    pub on_taken: OnTaken,
}

/// For how long a task holds its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Until it has ended, however it ends: through its retries, snoozes and lost workers. Whatever ends it frees the key in
    /// the same transaction.
    Finished,
    /// For this long from when it was accepted, in the store's time, however soon it ends.
    Window(Duration),
}

/// What becomes of a task whose key another one holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTaken {
    /// It is not made: the one that holds the key is the answer.
    #[default]
    Keep,
    /// The one that holds the key is cancelled if it does not run yet, and this one takes its place. One that runs, and one
    /// that has ended within its window, stays.
    Replace,
}

/// Why a task cannot be unique so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UniqueError {
    /// The key is empty or too long.
    #[error("a unique key has 1 to {MAX_KEY_BYTES} bytes, this one has {0}")]
    Key(usize),
    /// The window is nothing or too long.
    #[error("a unique key is held for a microsecond to 365 days, and not for {0:?}")]
    Window(Duration),
}

impl UniqueError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Key(_) | Self::Window(_) => "publish-invalid",
        }
    }
}

impl Unique {
    /// The only unfinished task of its name with this key.
    pub fn by(key: impl Into<String>) -> Self {
        Self { key: key.into(), until: Until::Finished, on_taken: OnTaken::Keep }
    }

    /// The only one within this time from when it was accepted, however soon it ends.
    pub fn within(self, window: Duration) -> Self {
        Self { until: Until::Window(window), ..self }
    }

    /// Takes the place of the one that holds the key, if that does not run yet.
    pub fn replacing(self) -> Self {
        Self { on_taken: OnTaken::Replace, ..self }
    }

    /// Whether key and window have a length that they may have.
    pub fn check(&self) -> Result<(), UniqueError> {
        if self.key.is_empty() || self.key.len() > MAX_KEY_BYTES {
            return Err(UniqueError::Key(self.key.len()));
        }
        match self.until {
            Until::Window(window) if window < Duration::from_micros(1) || window > MAX_WINDOW => {
                Err(UniqueError::Window(window))
            }
            Until::Window(_) | Until::Finished => Ok(()),
        }
    }
}

/// For people: `customer-7 until it has ended`.
impl fmt::Display for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Until::Finished => write!(f, "{} until it has ended", self.key),
            Until::Window(window) => write!(f, "{} for {window:?}", self.key),
        }
    }
}

impl From<&str> for Unique {
    fn from(key: &str) -> Self {
        Self::by(key)
    }
}

impl From<String> for Unique {
    fn from(key: String) -> Self {
        Self::by(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_a_window_have_a_length() {
        assert_eq!(Unique::by("").check(), Err(UniqueError::Key(0)));
        assert_eq!(Unique::by("k".repeat(513)).check(), Err(UniqueError::Key(513)));
        assert_eq!(Unique::by("k".repeat(512)).check(), Ok(()));
        for window in [Duration::ZERO, Duration::from_nanos(999), Duration::MAX] {
            assert_eq!(Unique::by("a").within(window).check(), Err(UniqueError::Window(window)));
        }
        assert_eq!(Unique::by("a").within(MAX_WINDOW).check(), Ok(()));
    }
}
