//! The catalog: schedules and their cursors, changed by compare-and-swap.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use upbeat_schedule::SkippedRange;

use super::{LedgerError, NewEntry};
use crate::name::ScheduleId;
use crate::occurrence::{OccurrenceRecord, ScheduleDefinition, ScheduleRecord};

/// Every schedule, as of one version of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogSnapshot {
    /// Grows with every change of a definition; cursors do not change it.
    pub version: u64,
    /// By id.
    pub schedules: Vec<ScheduleRecord>,
}

/// What a change expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No schedule of this id.
    Absent,
    /// This revision.
    Revision(u64),
}

/// A definition to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// What it says.
    pub definition: ScheduleDefinition,
    /// Where it was written.
    pub source: String,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum PutAnswer {
    /// It is in force.
    Stored(Box<ScheduleRecord>),
    /// Somebody changed it meanwhile: nothing changed. Read it and try again.
    Conflict,
}

/// Moves a schedule's cursor, and puts the occurrences that it passes on the agenda in the same transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Advance {
    /// Whose.
    pub id: ScheduleId,
    /// The incarnation and revision that were planned from.
    pub incarnation: u64,
    /// See there.
    pub revision: u64,
    /// Where the cursor stood.
    pub from: Timestamp,
    /// Where it stands afterwards. Earlier than `from` only to bring back a cursor from the future.
    pub to: Timestamp,
    /// Occurrences to fire, each with the id derived from its instant and `planned` set.
    pub fire: Vec<NewEntry>,
    /// Instants deliberately not fired.
    pub skipped: Vec<SkippedRange>,
}

/// What became of an advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdvanceAnswer {
    /// Cursor and occurrences are stored; so many of them were new.
    Advanced(u64),
    /// Another beat was there first, or the definition changed: nothing changed. Read the schedule again.
    Conflict,
    /// `to` lies after the store's now, given here: nothing changed.
    Early(Timestamp),
    /// Somebody's open transaction has locked a unique key that it takes, and who has the key is known only when that one ends:
    /// nothing changed. Ask again soon. Of ledgers in which others have transactions.
    KeyLocked,
}

/// Schedules.
#[async_trait]
pub trait Catalog: Send + Sync + fmt::Debug {
    /// The version, to see cheaply whether something changed.
    async fn version(&self) -> Result<u64, LedgerError>;

    /// Every schedule.
    async fn snapshot(&self) -> Result<CatalogSnapshot, LedgerError>;

    /// Some of them; those that do not exist are left out.
    async fn get(&self, ids: Vec<ScheduleId>) -> Result<Vec<ScheduleRecord>, LedgerError>;

    /// Stores a definition. A new schedule's cursor stands at the store's now; a changed one's stays.
    async fn put(&self, schedule: NewSchedule, expect: Expect) -> Result<PutAnswer, LedgerError>;

    /// Removes a schedule, and cancels its occurrences that are not yet queued; `false` on a conflict.
    async fn remove(&self, id: ScheduleId, revision: u64) -> Result<bool, LedgerError>;

    /// Moves cursors.
    async fn advance(&self, advances: Vec<Advance>) -> Result<Vec<AdvanceAnswer>, LedgerError>;

    /// What became of a schedule's instants, the newest first.
    async fn occurrences(&self, id: ScheduleId, limit: usize) -> Result<Vec<OccurrenceRecord>, LedgerError>;
}
