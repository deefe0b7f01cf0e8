//! How far a run has come, as its handler says. Only for those who look: nothing is decided by it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a run has come.
///
/// ```
/// use upbeat_shared::progress::Progress;
///
/// assert_eq!(Progress::new(120, Some(1000), "loading rows").to_string(), "120 of 1000 (12%), loading rows");
/// assert_eq!(Progress::new(120, None, "").to_string(), "120");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// How much is done, in whatever the handler counts.
    pub done: u64,
    /// How much there is to do, if the handler knows.
    pub total: Option<u64>,
    /// What it is doing, in a few words: at most [`Progress::MAX_NOTE_CHARS`].
    pub note: String,
}

impl Progress {
    /// The rest of a longer note is cut off: it travels with every heartbeat.
    pub const MAX_NOTE_CHARS: usize = 120;

    /// With as much of the note as is kept.
    pub fn new(done: u64, total: Option<u64>, note: impl Into<String>) -> Self {
        let mut note = note.into();
        if let Some((end, _)) = note.char_indices().nth(Self::MAX_NOTE_CHARS) {
            note.truncate(end);
        }
        Self { done, total, note }
    }

    /// How much of all is done, if that is known: more than 100 where the handler miscounted.
    pub fn percent(&self) -> Option<u64> {
        let total = self.total.filter(|total| *total > 0)?;
        u64::try_from(u128::from(self.done) * 100 / u128::from(total)).ok()
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.done)?;
        if let Some(total) = self.total {
            write!(f, " of {total}")?;
        }
        if let Some(percent) = self.percent() {
            write!(f, " ({percent}%)")?;
        }
        if self.note.is_empty() { Ok(()) } else { write!(f, ", {}", self.note) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_of_what_there_is() {
        let percent = |done, total| Progress::new(done, total, "").percent();
        assert_eq!(percent(999, Some(1000)), Some(99));
        assert_eq!(percent(u64::MAX, Some(u64::MAX)), Some(100));
        assert_eq!(percent(u64::MAX, Some(1)), None, "it has no such number");
        assert_eq!((percent(7, Some(0)), percent(7, None)), (None, None));
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let note = Progress::new(0, None, "ü".repeat(500)).note;
        assert_eq!(note.chars().count(), Progress::MAX_NOTE_CHARS);
    }
}
