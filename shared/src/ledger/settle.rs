//! Settling: a verdict written to the ledger.

use super::{NewEntry, OwnedClaim};
use crate::id::OwnerId;
use crate::task::TaskState;
use crate::verdict::Verdict;

/// A verdict for one claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Whose claim.
    pub owner: OwnerId,
    /// Which claim.
    pub claim: OwnedClaim,
    /// What became of the run.
    pub verdict: Verdict,
    /// Entries that go on the agenda if, and only if, this verdict applies and [stands](Settlement::stands).
    pub then: Vec<NewEntry>,
}

impl Settlement {
    /// Whether the verdict, applied, stands as it was decided: not where the task was cancelled while it ran and ends so,
    /// in this state, instead.
    pub fn stands(&self, state: TaskState) -> bool {
        state != TaskState::Cancelled || matches!(self.verdict, Verdict::Cancelled { .. })
    }
}

/// What a settle was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleAnswer {
    /// The verdict applies; the row's state now. It differs from the verdict when the task was cancelled meanwhile: a
    /// success stands, every other end becomes cancelled.
    Applied(TaskState),
    /// This very claim was settled before: nothing changed.
    AlreadySettled,
    /// The claim is not the newest, or not running: nothing changed.
    Stale,
}
