//! What every ledger decides alike about records in a person's hands. Pure: knows no row, no store and no clock.

use jiff::Timestamp;

use super::{AfterEdit, Edit, EditAnswer, RestoreAnswer};
use crate::id::{KeyId, Seq, TaskId};
use crate::message::Message;
use crate::task::{TaskRecord, TaskState};
use crate::unique::Until;

/// A row that is to be edited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edited {
    pub(super) state: TaskState,
    pub(super) seq: i64,
    pub(super) has_details: bool,
}

/// Why an edit does not apply, if it does not.
pub(super) fn refusal(edit: &Edit, row: Edited) -> Option<EditAnswer> {
    if row.seq != edit.seq.0 {
        return Some(EditAnswer::Changed);
    }
    let fits = match edit.then {
        AfterEdit::Stays | AfterEdit::Replays => {
            matches!(row.state, TaskState::Dead | TaskState::Cancelled | TaskState::Expired)
        }
        AfterEdit::Waits { .. } => matches!(row.state, TaskState::Scheduled | TaskState::Queued),
    };
    (!fits || !row.has_details).then_some(EditAnswer::Refused(row.state))
}

/// What a row runs from after an edit: every count is the row's.
pub(super) fn edited(id: TaskId, seq: i64, message: &Message) -> Message {
    Message { id, seq: Seq(seq), ..message.clone() }
}

/// A record of another ledger as a row of this one. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restored<'a> {
    pub(super) record: &'a TaskRecord,
    pub(super) state: TaskState,
    /// Whether there is something that could run, or be looked at.
    pub(super) has_details: bool,
    pub(super) due_at: Option<i64>,
    pub(super) enqueued_at: Option<i64>,
    pub(super) started_at: Option<i64>,
    pub(super) finished_at: Option<i64>,
}

impl<'a> Restored<'a> {
    /// Whatever has not ended is scheduled: no queue of this ledger's broker holds it, and no worker of it runs it.
    pub(super) fn of(record: &'a TaskRecord) -> Self {
        let state = if record.state.is_terminal() { record.state } else { TaskState::Scheduled };
        let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
        Self {
            record,
            state,
            has_details: !record.forgotten,
            due_at: micros(record.due_at),
            enqueued_at: micros(record.enqueued_at),
            started_at: micros(record.started_at),
            finished_at: micros(record.finished_at).filter(|_| state.is_terminal()),
        }
    }
}

/// The unique key that a task of this message holds until it has ended. What is left of a window, nobody knows.
pub(super) fn key(message: &Message) -> Option<KeyId> {
    message.unique.as_ref().filter(|unique| unique.until == Until::Finished)?;
    message.unique_key()
}

/// Of twins in one batch, the first is the one that counts.
pub(super) fn answer(is_new: bool) -> RestoreAnswer {
    if is_new { RestoreAnswer::Restored } else { RestoreAnswer::Exists }
}
