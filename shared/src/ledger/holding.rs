//! What a ledger holds, for those who wonder how large it is.

use std::fmt;

use jiff::Timestamp;

/// No more than this are counted where counting means looking at each: there are more then.
pub const COUNTED: u64 = 1_000_000;

/// A part of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// Rows of tasks, finished ones among them: ids that are still known.
    Tasks,
    /// Arguments, results and errors.
    Details,
    /// What became of schedules' instants.
    Occurrences,
    /// Unique keys that are held.
    UniqueKeys,
    /// Beats and workers, those among them that were lost or have left.
    Members,
}

impl Part {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Details => "details",
            Self::Occurrences => "occurrences",
            Self::UniqueKeys => "unique keys",
            Self::Members => "members",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Which.
    pub part: Part,
    /// How many; [`COUNTED`] may mean that there are more.
    pub count: u64,
    /// What they take, with their indexes, as far as the store can tell cheaply.
    pub bytes: Option<u64>,
    /// When the oldest of them was made, as far as the store can tell cheaply.
    pub oldest: Option<Timestamp>,
}
