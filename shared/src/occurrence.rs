//! Schedules as the ledger keeps them, and their planned instants.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use upbeat_schedule::{CatchUpPolicy, SkippedRange, TimingSpec};

use crate::name::{QueueName, ScheduleId, TaskKey, TaskName};
use crate::retry::RetryPolicy;
use crate::unique::Unique;

/// What a user writes: when, and which task.
///
/// Overlap rules, calendars and dependencies will join the timing and the policies as fields with defaults, so that
/// stored definitions stay readable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleDefinition {
    /// The rule in time.
    #[serde(flatten)]
    pub timing: TimingSpec,
    /// What each occurrence runs.
    pub task: TaskTemplate,
    /// What happens to occurrences that were missed.
    #[serde(default)]
    pub catch_up: CatchUpPolicy,
    /// How late an occurrence may be planned before it counts as missed.
    #[serde(default = "default_grace")]
    pub grace: Duration,
    /// So long after its instant, an occurrence whose task has not started is overdue; as the beat says if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_after: Option<Duration>,
    /// No occurrence is fired; those that pass are recorded as skipped.
    #[serde(default)]
    pub paused: bool,
}

/// An occurrence planned less than this late is simply late.
pub fn default_grace() -> Duration {
    Duration::from_secs(60)
}

/// The task that each occurrence becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskTemplate {
    /// Its name.
    pub name: TaskName,
    /// Its queue.
    pub queue: QueueName,
    /// Its arguments, as JSON.
    #[serde(default)]
    pub args: serde_json::Value,
    /// The version of the arguments' shape.
    #[serde(default = "first_version")]
    pub args_version: u32,
    /// Its priority, 0 to 9.
    #[serde(default)]
    pub priority: Option<u8>,
    /// How long one run may take.
    #[serde(default)]
    pub timeout: Option<Duration>,
    /// How long after the planned instant it may still start.
    #[serde(default)]
    pub expires_after: Option<Duration>,
    /// How long after the planned instant it must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_after: Option<Duration>,
    /// When to retry.
    #[serde(default)]
    pub retry: Option<RetryPolicy>,
    /// Free labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whose its tasks are: limits by key count them under this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<TaskKey>,
    /// The key that one of its tasks holds at a time: an occurrence that finds it taken is merged into the one that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
}

fn first_version() -> u32 {
    1
}

/// What is written as the reason of an occurrence that another task stands for, beside that task.
#[cfg(any(feature = "embedded", feature = "postgres"))]
pub(crate) const MERGED: &str = "\"merged\"";

/// A schedule in the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleRecord {
    /// Its id.
    pub id: ScheduleId,
    /// New whenever a deleted schedule is made again, so that its occurrences get new ids.
    pub incarnation: u64,
    /// Grows with every change of the definition; changes name the one they replace.
    pub revision: u64,
    /// The definition in force.
    pub definition: ScheduleDefinition,
    /// Where it was written: a configuration file's path, or who made it.
    pub source: String,
    /// Everything up to and including this instant is accounted for.
    pub cursor: Timestamp,
    /// When the definition last changed.
    pub updated_at: Timestamp,
}

/// One occurrence or a run of skipped ones, in the record.
#[derive(Clone, Debug, PartialEq)]
pub enum OccurrenceRecord {
    /// On the agenda or further.
    Fired {
        /// The rule's instant.
        planned_at: Timestamp,
        /// When it was planned, in the store's time.
        fired_at: Timestamp,
        /// Its task.
        task_id: crate::id::TaskId,
    },
    /// Not made a task of its own: another one held its unique key, and stands for it.
    Merged {
        /// The rule's instant.
        planned_at: Timestamp,
        /// When it was planned, in the store's time.
        merged_at: Timestamp,
        /// The task that held the key.
        task_id: crate::id::TaskId,
    },
    /// Deliberately not run.
    Skipped(SkippedRange),
}
