//! What to do with occurrences that were missed, and how what was not fired is written down.
//! Never decides on its own which occurrences those are; `plan` does.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Which missed occurrences still fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// None of them.
    None,
    /// Only the latest, unless a newer occurrence is due in time: however long nothing ran, it runs once.
    #[default]
    Latest,
    /// All of them, in order.
    All,
}

/// Which missed occurrences still fire, and until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct CatchUpPolicy {
    /// Which ones.
    pub mode: CatchUp,
    /// Those planned longer ago than this never do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<SignedDuration>,
}

impl From<CatchUp> for CatchUpPolicy {
    fn from(mode: CatchUp) -> Self {
        Self { mode, within: None }
    }
}

/// A run of occurrences that did not fire, all for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRange {
    /// The planned instant of the first.
    pub from: Timestamp,
    /// The planned instant of the last.
    pub until: Timestamp,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: SkipReason,
}

/// Why an occurrence did not fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// It was planned too late, and the schedule's policy does not make up for it.
    Misfire,
    /// The schedule was paused.
    Paused,
    /// The occurrence before was unfinished.
    Overlap,
    /// The schedule's calendar excludes the day.
    Calendar,
    /// What it had to wait for failed.
    Dependency,
}
