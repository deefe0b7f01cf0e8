//! What every ledger decides alike, whatever it keeps its rows in. Pure: knows no row, no store and no clock.

use std::time::Duration;

use super::stored::{duration_micros, instant};
use super::{Advance, AdvanceAnswer, Park, ReapReport};
use crate::id::TaskId;
use crate::message::{ContentType, Message, Payload, Priority};
use crate::name::{QueueName, TaskName};
use crate::run::is_suspect;
use crate::task::TaskState;
use crate::verdict::{RunError, RunErrorKind};

/// How long a queued task may wait for its claim before somebody looks why; doubled with each look.
pub(super) const UNCLAIMED: Duration = Duration::from_secs(60);

/// The longest time between two such looks.
pub(super) const UNCLAIMED_MAX: Duration = Duration::from_secs(3600);

/// A task is overtaken when one that was marked this much later has been claimed.
pub(super) const OVERTAKEN: Duration = Duration::from_secs(600);

/// How long members that left or were lost are kept, for the names in the records.
pub(super) const MEMBERS: Duration = Duration::from_secs(7 * 24 * 3600);

/// The note of a task that was cancelled while it ran alone, in a process that died.
#[cfg(any(feature = "embedded", feature = "memory"))]
pub(super) const CANCELLED_CRASHED: &str = "cancelled while it ran; its process died";

/// A cursor further ahead of now than this comes from a time when the store's clock was wrong.
pub(super) const AHEAD: Duration = Duration::from_secs(3600);

/// A message may be of a task that ended and whose id was forgotten.
pub(super) fn stale_error() -> RunError {
    RunError::new(
        RunErrorKind::Stale,
        "the message was first published so long ago that its id could have been forgotten: running it might repeat \
         it. If it must run, `upbeat dead replay` it",
    )
}

/// What stands for a task that is cancelled before anybody knew more of it than its id: it may still be on its way, and
/// its claim will find this.
pub(super) fn tombstone(id: TaskId) -> Message {
    let name = TaskName::new("unknown").expect("a plain word is a name");
    forgotten(id, name, QueueName::default_queue(), Priority::default())
}

/// Its note.
pub(super) fn tombstone_note(reason: &str) -> String {
    format!("{reason}; nothing else was known of it")
}

/// What is written on a dead task that retention drops.
pub(super) const DROPPED_BY_RETENTION: &str = "dropped after `retention.dead`";

/// What is left of a message whose details were purged.
pub(super) fn forgotten(id: TaskId, name: TaskName, queue: QueueName, priority: Priority) -> Message {
    let nothing = Payload { content_type: ContentType::Json, bytes: bytes::Bytes::from_static(b"null") };
    Message { priority, ..Message::new(id, name, queue, nothing) }
}

/// A retry by hand takes expiry and deadline away, or the task would end again at once: the row tells by having no instant
/// left that it must start by. Where it has one, the message has both exactly.
pub(super) fn keep_times(message: &mut Message, must_start_by: Option<i64>) {
    if must_start_by.is_none() {
        message.expires_at = None;
        message.deadline_at = None;
    }
}

/// Labels as a row keeps them: one text, in which each is found between commas.
pub(super) fn joined_tags(tags: &[String]) -> Option<String> {
    (!tags.is_empty()).then(|| format!(",{},", tags.join(",")))
}

/// A row that a delivery of it is to be parked on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parked {
    pub(super) state: TaskState,
    pub(super) seq: i64,
    /// How often it was parked since its last run.
    pub(super) parks: u32,
    /// When that was for the first time, in microseconds.
    pub(super) since: Option<i64>,
}

/// What becomes of it.
#[derive(Clone, Debug)]
pub(super) enum Parking {
    /// The row is newer than the message, runs, or has ended.
    Ignored,
    /// It was parked for too long.
    Dead(RunError),
    /// It moves.
    Moved { due_at: i64, seq: i64 },
}

/// Parks a delivery on the row that there is; `now` in microseconds.
pub(super) fn park(park: &Park, row: Parked, now: i64) -> Parking {
    let waiting = matches!(row.state, TaskState::Scheduled | TaskState::Queued);
    if !waiting || row.seq > park.message.seq.0 {
        return Parking::Ignored;
    }
    let parked_for = row.since.map_or(0, |since| now - since);
    if let Some((longest, kind)) = park.dead_after
        && parked_for >= duration_micros(longest)
    {
        return Parking::Dead(RunError::new(kind, park.note.clone()));
    }
    let doubled = 1_u32.checked_shl(row.parks).unwrap_or(u32::MAX);
    let delay = park.delay.saturating_mul(doubled).min(park.max_delay);
    let due_at = now.saturating_add(duration_micros(delay));
    Parking::Moved { due_at, seq: row.seq.max(park.message.seq.0) + 1 }
}

/// What becomes of a task whose worker was lost.
#[derive(Clone, Debug)]
pub(super) struct Crash {
    /// How often that happened by now.
    pub(super) crashes: u32,
    pub(super) note: String,
    pub(super) then: AfterCrash,
}

/// See [`Crash`].
#[derive(Clone, Debug)]
pub(super) enum AfterCrash {
    /// It is due again.
    Again,
    /// It had been asked to stop.
    Cancelled,
    /// It happened too often.
    Dead(RunError),
}

/// A worker that was lost.
#[derive(Clone, Debug)]
pub(super) struct LostWorker {
    pub(super) name: String,
    /// It ran suspects alone: its loss says little about them.
    pub(super) isolates: bool,
}

/// So many times as many workers may be lost while a suspect ran apart from everything else in them. Bounded all the same: it
/// may be what kills them.
pub(super) const LOST_APART: u32 = 3;

/// A worker was lost while it ran a task that had seen so many crashes before and may see `max`; counts it in the report,
/// where those that are dead are named by whoever has their ids.
pub(super) fn crash(
    worker: &LostWorker,
    before: u32,
    cancel: bool,
    max: u32,
    report: &mut ReapReport,
) -> Crash {
    let crashes = before + 1;
    let note = format!("the worker {} was lost while it ran", worker.name);
    let ran_apart = worker.isolates && is_suspect(before, max);
    let max = if ran_apart { max.saturating_mul(LOST_APART) } else { max };
    let then = if cancel {
        report.cancelled += 1;
        AfterCrash::Cancelled
    } else if crashes >= max {
        let message =
            format!("{note}; {crashes} workers were lost running this task, so it is not tried again");
        AfterCrash::Dead(RunError::new(RunErrorKind::Crashed, message))
    } else {
        report.rescheduled += 1;
        AfterCrash::Again
    };
    Crash { crashes, note, then }
}

/// Where a schedule stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) incarnation: u64,
    pub(super) revision: u64,
    /// In microseconds.
    pub(super) cursor: i64,
}

/// Why a cursor may not be moved as was planned, if it may not; `now` in microseconds.
pub(super) fn refusal(advance: &Advance, found: Option<Standing>, now: i64) -> Option<AdvanceAnswer> {
    if advance.to.as_microsecond() > now {
        return Some(AdvanceAnswer::Early(instant(now)));
    }
    let Some(found) = found else { return Some(AdvanceAnswer::Conflict) };
    let same = found.incarnation == advance.incarnation
        && found.revision == advance.revision
        && found.cursor == advance.from.as_microsecond();
    let back = advance.to < advance.from;
    let from_the_future = found.cursor > now.saturating_add(duration_micros(AHEAD));
    (!same || (back && !from_the_future)).then_some(AdvanceAnswer::Conflict)
}
