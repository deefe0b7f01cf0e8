//! Looking at tasks, and acting on what one sees.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::LedgerError;
use crate::id::TaskId;
use crate::member::MemberRecord;
use crate::name::{QueueName, ScheduleId, TaskName};
use crate::task::{TaskRecord, TaskState};

/// Which tasks; every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// In one of these states; empty for any.
    pub states: Vec<TaskState>,
    /// Of this queue.
    pub queue: Option<QueueName>,
    /// Of this name.
    pub name: Option<TaskName>,
    /// Made by this schedule.
    pub schedule: Option<ScheduleId>,
    /// With this label.
    pub tag: Option<String>,
    /// First recorded at or after this instant.
    pub since: Option<Timestamp>,
}

/// Where a page ended; give it back to get the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageCursor(pub i64);

/// Some tasks, the newest recorded first.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<TaskRecord>,
    /// For the next page; `None` at the end.
    pub next: Option<PageCursor>,
}

/// A queue as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRecord {
    /// Its name.
    pub name: QueueName,
    /// Nobody may take work from it.
    pub paused: bool,
    /// Tasks by state; states without tasks are left out.
    pub counts: Vec<(TaskState, u64)>,
}

/// A limit or a fair queue as the ledger knows it. What nobody has or waits for is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRecord {
    /// What is counted: `task:NAME`, `queue:NAME`, `key:NAME:KEY`, or `fair:QUEUE`.
    pub id: String,
    /// How many tasks run at once, as whoever claimed last has it; `None` where only a rate limits.
    pub slots: Option<u32>,
    /// How many slots are taken: by tasks that run, or may run as soon as they are claimed.
    pub taken: u32,
    /// How many tasks stand in its line.
    pub waiting: u64,
    /// The first instant of its rate that is free, if it is yet to come. A burst may be earlier.
    pub free_at: Option<Timestamp>,
}

/// What to do to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ends an unfinished task, also one that has no row yet; asks a running one to stop.
    Cancel {
        /// By whom or why.
        reason: String,
    },
    /// Makes a dead, cancelled or expired task due again, its attempts and crashes counted from zero, if nobody else holds its
    /// unique key; makes a scheduled one due now.
    Retry,
    /// Forgets the details of a dead task; its id stays known.
    Drop,
}

/// What became of an action on one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActAnswer {
    /// Done; its state now.
    Applied(TaskState),
    /// A running task was asked to stop.
    Requested,
    /// It does not apply to a task in this state.
    Refused(TaskState),
    /// It has ended, and meanwhile another task holds the unique key that it would need again.
    KeyTaken {
        /// Which.
        by: TaskId,
    },
    /// There is no such task.
    Unknown,
}

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Arguments, result and error of finished tasks, but for dead ones.
    pub details: Duration,
    /// Dead tasks, whole, before they are dropped; `None` keeps them until somebody drops them.
    pub dead: Option<Duration>,
    /// Ids of finished tasks: for so long a repeat is recognised.
    pub ids: Duration,
    /// Records of occurrences.
    pub occurrences: Duration,
}

impl Default for Retention {
    /// 24 hours, dead tasks for ever, 7 days, 1 year.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { details: DAY, dead: None, ids: DAY * 7, occurrences: DAY * 365 }
    }
}

impl Retention {
    /// A message without a row that was first published longer ago than this is stale: its id could have been
    /// forgotten. A day less than ids are kept, and never less than half.
    pub fn stale_after(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        self.ids.saturating_sub(DAY).max(self.ids / 2)
    }
}

/// What a purge removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// Tasks whose details went.
    pub details: u64,
    /// Dead tasks that were dropped.
    pub dead: u64,
    /// Tasks whose ids went.
    pub ids: u64,
    /// Records of occurrences.
    pub occurrences: u64,
    /// Windows of unique keys that were over.
    pub windows: u64,
}

/// Looking at tasks, queues and members.
#[async_trait]
pub trait Inspect: Send + Sync + fmt::Debug {
    /// Some tasks by id, in the order asked; `None` where there is no row.
    async fn get(&self, ids: Vec<TaskId>) -> Result<Vec<Option<TaskRecord>>, LedgerError>;

    /// A page of tasks.
    async fn list(
        &self,
        filter: TaskFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<TaskPage, LedgerError>;

    /// Every queue that has tasks or was paused, with its counts.
    async fn queues(&self) -> Result<Vec<QueueRecord>, LedgerError>;

    /// Limits and fair queues, those with the longest lines first, at most `most`.
    async fn limits(&self, most: usize) -> Result<Vec<LimitRecord>, LedgerError>;

    /// Every member with a heartbeat row.
    async fn members(&self) -> Result<Vec<MemberRecord>, LedgerError>;

    /// Acts on tasks, all in one transaction.
    async fn act(&self, ids: Vec<TaskId>, action: Action) -> Result<Vec<ActAnswer>, LedgerError>;

    /// Stops or lets go on the taking of work from a queue.
    async fn pause(&self, queue: QueueName, paused: bool) -> Result<(), LedgerError>;

    /// Removes what retention no longer keeps, at most `limit` rows of each kind.
    async fn purge(&self, retention: Retention, limit: usize) -> Result<PurgeReport, LedgerError>;

    /// Answers when some task may have ended, or after `at_most`.
    async fn wait(&self, at_most: Duration);
}
