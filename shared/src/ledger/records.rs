//! Records in a person's hands: mended where they are, and taken over from another ledger.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Due, LedgerError};
use crate::id::{KeyId, Seq, TaskId};
use crate::message::Message;
use crate::occurrence::{OccurrenceRecord, ScheduleRecord};
use crate::task::{TaskRecord, TaskState};

/// Changes a task that ended badly (dead, cancelled or expired) and still has its details, or one that waits (scheduled or
/// queued).
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Which.
    pub id: TaskId,
    /// As the editor saw it: of two who edit the same record, one is told that it has changed.
    pub seq: Seq,
    /// What it runs from now on; its id and counts are the row's. `None` leaves it as it is.
    pub message: Option<Box<Message>>,
    /// What becomes of it.
    pub then: AfterEdit,
    /// For records: what was done to it.
    pub note: String,
}

/// See [`Edit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterEdit {
    /// It stays as it ended.
    Stays,
    /// It is due now, its attempts and crashes counted from zero, its expiry forgotten.
    Replays,
    /// It waited, and goes on waiting, until then: a message of it that is on its way is stale, and what it had of limits goes
    /// back. Its unique key stays that of the row: so its name must, if it has one.
    Waits {
        /// When it is due.
        due: Due,
    },
}

/// What became of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditAnswer {
    /// It applies.
    Applied {
        /// The state of the task.
        state: TaskState,
        /// The version of its schedule now.
        seq: Seq,
    },
    /// Meanwhile another task holds the unique key that it would need again: nothing changed.
    KeyTaken {
        /// Which.
        by: TaskId,
    },
    /// It is not as the editor saw it: nothing changed. Read it and try again.
    Changed,
    /// It does not apply to a task in this state, or to one whose details are gone: nothing changed.
    Refused(TaskState),
    /// There is no such task.
    Unknown,
}

/// A schedule of another ledger, with what is to be known of its past.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoredSchedule {
    /// As it stood there: the same incarnation, so that its occurrences keep their ids, and the same cursor, so that none of
    /// them is lost or fired twice.
    pub record: ScheduleRecord,
    /// What became of its instants, in any order.
    pub occurrences: Vec<OccurrenceRecord>,
}

/// A unique key that a task holds for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyWindow {
    /// Which key: the same in every ledger.
    pub key: KeyId,
    /// Whose it is. The task may have ended.
    pub task: TaskId,
    /// Until then.
    pub until: Timestamp,
}

/// What became of a record that was to be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreAnswer {
    /// It is here now.
    Restored,
    /// There is one of this id already: nothing changed.
    Exists,
}

/// Mending records, and taking them over.
#[async_trait]
pub trait Records: Send + Sync + fmt::Debug {
    /// Edits tasks, all in one transaction.
    async fn edit(&self, edits: Vec<Edit>) -> Result<Vec<EditAnswer>, LedgerError>;

    /// Makes rows of tasks that another ledger recorded, all in one transaction. What had ended has ended, when and how the
    /// record says; everything else is scheduled, due when the record says, and holds its unique key if nobody else does. Claims are not taken over: no worker of the
    /// other ledger can settle here.
    async fn restore(&self, tasks: Vec<TaskRecord>) -> Result<Vec<RestoreAnswer>, LedgerError>;

    /// Makes schedules that another ledger had, each with its past in one transaction.
    async fn restore_schedules(
        &self,
        schedules: Vec<RestoredSchedule>,
    ) -> Result<Vec<RestoreAnswer>, LedgerError>;

    /// Unique keys that are held for a time, those that are over soonest first, behind the one that is given.
    async fn windows(&self, after: Option<KeyWindow>, limit: usize) -> Result<Vec<KeyWindow>, LedgerError>;

    /// Holds keys as another ledger did, all in one transaction. What somebody holds here already stays, and what is over is
    /// left out: both are answered as what exists.
    async fn restore_windows(&self, windows: Vec<KeyWindow>) -> Result<Vec<RestoreAnswer>, LedgerError>;
}
