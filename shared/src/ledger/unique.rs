//! Who gets a unique key, decided alike in every ledger whose rules are in Rust. Pure: knows no row, no store and no clock.

use crate::id::TaskId;
use crate::task::TaskState;
use crate::unique::OnTaken;

/// Whether a task gives way to one that would replace it.
pub(super) fn gives_way(holder: TaskState, on_taken: OnTaken) -> bool {
    let waits = matches!(holder, TaskState::Scheduled | TaskState::Queued | TaskState::Held);
    waits && on_taken == OnTaken::Replace
}

/// What is written on a task that was replaced.
pub(super) fn replaced_note(by: TaskId) -> String {
    format!("replaced by {by}, which has the same unique key")
}
