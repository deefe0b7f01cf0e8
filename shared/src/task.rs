//! The record of a task, as listings show it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Fence, OwnerId, Seq, TaskId};
use crate::message::{Message, Payload};
use crate::run::{PastRuns, Run, RunEnd};
use crate::verdict::RunError;

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// On the agenda, due at some time.
    Scheduled,
    /// Given to the broker, which confirmed it.
    Queued,
    /// Claimed by a worker.
    Running,
    /// On the agenda, waiting for other tasks to end.
    Held,
    /// Done.
    Succeeded,
    /// Failed for good; kept until dropped.
    Dead,
    /// Ended because somebody asked.
    Cancelled,
    /// Not started before its expiry or its deadline.
    Expired,
}

impl TaskState {
    /// All of them, in the order of a task's life.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Held,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Nothing more will happen to it by itself.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Scheduled | Self::Queued | Self::Running | Self::Held => false,
            Self::Succeeded | Self::Dead | Self::Cancelled | Self::Expired => true,
        }
    }

    /// As in records, filters and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Held => "held",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TaskState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no state of a task; it is one of {all}")
        })
    }
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    /// The message it runs from: id, name, queue, arguments and all; attempts, crashes and seq are the row's.
    pub message: Message,
    /// Where it is in its life.
    pub state: TaskState,
    /// The newest claim's fence, if it was ever claimed.
    pub fence: Option<Fence>,
    /// Who runs it, or ran it last.
    pub owner: Option<OwnerId>,
    /// That worker's name (`host:pid`), kept after the worker is gone.
    pub worker: Option<String>,
    /// When it is, or was, due.
    pub due_at: Option<Timestamp>,
    /// When the broker confirmed it last.
    pub enqueued_at: Option<Timestamp>,
    /// When the newest run started.
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal state.
    pub finished_at: Option<Timestamp>,
    /// Why it failed last.
    pub error: Option<RunError>,
    /// What it returned.
    pub result: Option<Payload>,
    /// Somebody asked a running task to stop.
    pub cancel_requested: bool,
    /// The runs that ended and were no simple success; the newest run is told by the fields above.
    pub past: PastRuns,
    /// Why it waits or ended, in a few words, where the state alone does not say (`no worker knows it`, `worker lost`).
    pub note: Option<String>,
    /// Its details are gone (purged, dropped, or never known): the arguments shown here are not its own.
    pub forgotten: bool,
}

impl TaskRecord {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.message.id
    }

    /// The version of its schedule.
    pub fn seq(&self) -> Seq {
        self.message.seq
    }

    /// Its runs as far as they are known, oldest first, and how many are left out before them.
    pub fn runs(&self) -> (Vec<Run>, u32) {
        // Where the details were purged, the row still counts.
        let counted = self.message.attempts.saturating_add(self.message.crashes);
        let count = self.past.count.max(counted);
        let left_out = count.saturating_sub(u32::try_from(self.past.kept.len()).unwrap_or(u32::MAX));
        let numbers = left_out.saturating_add(1)..;
        let mut runs: Vec<Run> =
            numbers.zip(&self.past.kept).map(|(number, past)| Run::past(number, past)).collect();
        runs.extend(self.newest_run(count.saturating_add(1)));
        (runs, left_out)
    }

    /// The run that the row itself tells of: one that goes on, or the success.
    fn newest_run(&self, number: u32) -> Option<Run> {
        let end = match self.state {
            TaskState::Running => RunEnd::Running,
            TaskState::Succeeded => RunEnd::Succeeded,
            TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Held
            | TaskState::Dead
            | TaskState::Cancelled
            | TaskState::Expired => return None,
        };
        let (started_at, ended_at) = (self.started_at, self.finished_at);
        let worker = self.worker.clone();
        Some(Run { number, started_at, ended_at, worker, end, error: None, note: None })
    }

    /// The object that `--json` prints: at least these fields, times in UTC with microseconds, null where unknown.
    pub fn to_json(&self) -> serde_json::Value {
        let time = |at: Option<Timestamp>| at.map(rfc3339_micros);
        let planned = self.message.occurrence.as_ref();
        let (runs, left_out) = self.runs();
        serde_json::json!({
            "id": self.id().to_string(),
            "name": self.message.name.as_str(),
            "queue": self.message.queue.as_str(),
            "state": self.state.as_str(),
            "attempts": self.message.attempts,
            "crashes": self.message.crashes,
            "priority": self.message.priority.get(),
            "args_version": self.message.args_version,
            "tags": self.message.tags,
            "key": self.message.key,
            "dedup_id": self.message.dedup_id,
            "unique_key": self.message.unique.as_ref().map(|unique| &unique.key),
            "traceparent": self.message.trace.as_ref().map(|trace| &trace.traceparent),
            "schedule_id": planned.map(|planned| planned.schedule_id.as_str()),
            "planned_at": time(planned.map(|planned| planned.planned_at)),
            "due_at": time(self.due_at),
            "enqueued_at": time(self.enqueued_at),
            "started_at": time(self.started_at),
            "finished_at": time(self.finished_at),
            "expires_at": time(self.message.expires_at),
            "deadline_at": time(self.message.deadline_at),
            "worker": self.worker,
            "fence": self.fence.map(|fence| fence.0),
            "seq": self.seq().0,
            "cancel_requested": self.cancel_requested,
            "note": self.note,
            "error": self.error.as_ref().map(RunError::to_json),
            "result": self.result.as_ref().map(Payload::to_json),
            "args": self.message.args.to_json(),
            "runs": runs.iter().map(Run::to_json).collect::<Vec<_>>(),
            "runs_left_out": left_out,
        })
    }
}

/// RFC 3339 in UTC with six decimals, as every record shows times.
pub fn rfc3339_micros(at: Timestamp) -> String {
    format!("{at:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_show_microseconds_in_utc() {
        let at = "2026-05-01T02:00:00.5+02:00".parse().unwrap();
        assert_eq!(rfc3339_micros(at), "2026-05-01T00:00:00.500000Z");
    }

    #[test]
    fn an_unknown_state_is_refused_with_those_that_exist() {
        let error = "done".parse::<TaskState>().unwrap_err();
        assert!(error.contains("succeeded"), "{error}");
    }
}
