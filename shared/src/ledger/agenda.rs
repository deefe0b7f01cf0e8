//! The agenda: what is due at some time, and how it gets to the broker.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::LedgerError;
use crate::id::{OwnerId, Seq, TaskId};
use crate::message::Message;
use crate::name::QueueName;
use crate::task::TaskState;
use crate::verdict::RunErrorKind;

/// When an entry is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At an instant of the store's time.
    At(Timestamp),
    /// A duration after the store's now.
    In(Duration),
}

/// A row to be made, scheduled.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// What will run.
    pub message: Message,
    /// When it is due, as records show it.
    pub due: Due,
    /// How long after `due` a beat leaves it alone, because its client publishes it itself: the beat covers the client's
    /// death. Zero for everything else.
    pub cover: Duration,
}

/// What became of one new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddAnswer {
    /// On the agenda, with this seq.
    Added(Seq),
    /// There is a row with this id already, in this state: nothing changed.
    Exists(TaskState),
    /// Another task holds its unique key: nothing was made.
    Taken {
        /// Which.
        by: TaskId,
        /// That one's state.
        state: TaskState,
    },
}

/// Why an entry is in a [`DueBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueReason {
    /// Its time has come.
    Due,
    /// It is queued, and no worker has claimed it for a while: publish it again if its queue is empty or was overtaken,
    /// else postpone the next look.
    Unclaimed {
        /// A task of the same queue and priority that was marked 10 minutes later has been claimed.
        overtaken: bool,
        /// How often this was looked at.
        looks: u32,
    },
}

/// An entry leased to one beat.
#[derive(Clone, Debug, PartialEq)]
pub struct DueEntry {
    /// To be published; its seq, attempts and crashes are the row's.
    pub message: Message,
    /// When it was due.
    pub due_at: Timestamp,
    /// Why it is here.
    pub reason: DueReason,
}

/// What is due now.
#[derive(Clone, Debug, PartialEq)]
pub struct DueBatch {
    /// The store's time.
    pub now: Timestamp,
    /// At most as many as asked for, the longest due first.
    pub entries: Vec<DueEntry>,
    /// When the next look is worth it; `None` if nothing is on the agenda.
    pub next: Option<Timestamp>,
}

/// Marks an entry as queued, if it is still scheduled (or queued) with this seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub id: TaskId,
    /// As published.
    pub seq: Seq,
}

/// Puts off the next look at an entry. Not a move: its seq stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postpone {
    /// Which.
    pub id: TaskId,
    /// As leased.
    pub seq: Seq,
    /// From the store's now.
    pub by: Duration,
}

/// Puts a delivery back on the agenda: the row is made if there is none, and moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Park {
    /// What was delivered.
    pub message: Message,
    /// For records: why it waits.
    pub note: String,
    /// The first delay; doubled with every park of this task.
    pub delay: Duration,
    /// What the delay never exceeds.
    pub max_delay: Duration,
    /// Parked for longer than this since the first time, it is dead with this error instead.
    pub dead_after: Option<(Duration, RunErrorKind)>,
}

/// What became of a park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkAnswer {
    /// On the agenda, due then.
    Parked(Timestamp),
    /// Parked for too long: it is dead now.
    Dead,
    /// The row is newer than the message, runs, or has ended: nothing changed.
    Ignored,
}

/// A member that a beat judged lost: its counter stood still for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Whose.
    pub owner: OwnerId,
    /// Where its counter stood; compared again in the transaction.
    pub counter: u64,
}

/// What a reap did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReapReport {
    /// Incarnations retired: they can claim nothing any more.
    pub retired: Vec<OwnerId>,
    /// Tasks that are due again, a crash counted.
    pub rescheduled: u64,
    /// Tasks that are dead: too many crashes.
    pub dead: Vec<TaskId>,
    /// Tasks that ended because somebody had asked to cancel them.
    pub cancelled: u64,
}

/// What has to happen later: a beat's half of the ledger.
#[async_trait]
pub trait Agenda: Send + Sync + fmt::Debug {
    /// Makes rows, scheduled, one after the other. An id that exists is left alone; then a unique key is looked at. The key
    /// is held from this transaction on, and freed by the one that ends its task, whoever that is.
    async fn add(&self, entries: Vec<NewEntry>) -> Result<Vec<AddAnswer>, LedgerError>;

    /// Leases what is due to this caller: no other caller gets it for `lease`. Entries that had to start by now
    /// ([`Message::must_start_by`](crate::message::Message::must_start_by)) become expired instead.
    async fn due(&self, limit: usize, lease: Duration) -> Result<DueBatch, LedgerError>;

    /// Marks entries as queued, after the broker confirmed them; `false` where the entry moved or ended meanwhile.
    async fn mark(&self, marks: Vec<Mark>) -> Result<Vec<bool>, LedgerError>;

    /// Puts off the next look at entries.
    async fn postpone(&self, postponed: Vec<Postpone>) -> Result<(), LedgerError>;

    /// Puts deliveries back.
    async fn park(&self, parks: Vec<Park>) -> Result<Vec<ParkAnswer>, LedgerError>;

    /// Retires lost members, and makes their running rows due again, as well as rows of owners without a heartbeat row.
    async fn reap(&self, lost: Vec<Lost>, max_crashes: u32) -> Result<ReapReport, LedgerError>;

    /// Entries scheduled or queued, and the longest that a due one waits, by queue; for metrics.
    async fn backlog(&self) -> Result<Vec<(QueueName, u64, Duration)>, LedgerError>;

    /// Answers when something may have come onto the agenda, or after `at_most`.
    async fn wait(&self, at_most: Duration);
}
