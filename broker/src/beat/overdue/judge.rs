//! Whether an occurrence is overdue, whether to tell of it, and what to look at. Pure: goes by the row that it is shown.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::task::{TaskRecord, TaskState};

use super::watch::Told;

/// While a schedule's occurrences wait, it is told of so often at most.
const QUIET: Duration = Duration::from_secs(3600);

/// What was found out about an occurrence whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It has started, has ended, was cancelled, waits for other tasks as it was told to, or never was.
    Fine,
    /// It has not started.
    Overdue,
}

/// Judges by the row of an occurrence's task. Without a row it was skipped, or is forgotten by now.
pub(super) fn judge(row: Option<&TaskRecord>) -> Finding {
    let Some(row) = row else { return Finding::Fine };
    // A retry, a snooze: it waits again, but it did start.
    let has_started = row.fence.is_some() || row.started_at.is_some();
    match row.state {
        TaskState::Scheduled | TaskState::Queued | TaskState::Expired if !has_started => Finding::Overdue,
        TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Expired
        | TaskState::Running
        | TaskState::Held
        | TaskState::Succeeded
        | TaskState::Dead
        | TaskState::Cancelled => Finding::Fine,
    }
}

/// Whether an overdue occurrence is worth telling of. While the one that was told of has not started either, it is the same
/// trouble, and is not told of again before an hour is over.
pub(super) fn is_news(told: Option<Told>, row_of_told: Option<&TaskRecord>, now: Timestamp) -> bool {
    let Some(told) = told else { return true };
    judge(row_of_told) == Finding::Fine || clock::later(told.at, QUIET) <= now
}

/// What a person should look at.
pub(super) fn advice(row: &TaskRecord) -> &'static str {
    match (row.state, &row.note) {
        (TaskState::Scheduled, Some(_)) => {
            "it was put back, see the note: mend that, or start a worker that can run it"
        }
        (TaskState::Scheduled, None) => {
            "no beat could hand it to the broker: look at the broker, and whether its queue takes messages"
        }
        (TaskState::Expired, _) => {
            "it may not start any more: look whether a worker takes from its queue, and is quick enough"
        }
        _ => {
            "no worker has taken it: look whether one takes from its queue, whether the queue is paused, whether all slots are \
             taken"
        }
    }
}

#[cfg(test)]
mod tests {
    use upbeat_shared::id::{Fence, TaskId};
    use upbeat_shared::message::{Message, Payload};
    use upbeat_shared::name::TaskName;

    use super::*;
    use crate::beat::testing::{at, queue};

    fn row(state: TaskState) -> TaskRecord {
        let id = TaskId(uuid::Uuid::from_u128(1));
        let args = Payload::json(&1).unwrap();
        TaskRecord {
            message: Message::new(id, TaskName::new("report").unwrap(), queue("q"), args),
            state,
            fence: None,
            owner: None,
            worker: None,
            due_at: None,
            enqueued_at: None,
            started_at: None,
            finished_at: None,
            error: None,
            result: None,
            cancel_requested: false,
            note: None,
            forgotten: false,
        }
    }

    #[test]
    fn what_waits_and_never_started_is_overdue_and_nothing_else_is() {
        let overdue: Vec<_> = TaskState::ALL
            .into_iter()
            .filter(|state| judge(Some(&row(*state))) == Finding::Overdue)
            .collect();
        assert_eq!(overdue, [TaskState::Scheduled, TaskState::Queued, TaskState::Expired]);
        assert_eq!(judge(None), Finding::Fine, "it was skipped");
    }

    #[test]
    fn what_started_and_waits_for_its_retry_is_not_overdue() {
        for state in TaskState::ALL {
            let started = TaskRecord { fence: Some(Fence(7)), ..row(state) };
            assert_eq!(judge(Some(&started)), Finding::Fine, "{state}");
        }
    }

    #[test]
    fn the_same_trouble_is_told_of_once_and_again_when_it_lasts_for_an_hour() {
        let now = at("2026-05-01T12:00:00Z");
        let told = |at_text: &str| Some(Told { id: TaskId(uuid::Uuid::from_u128(1)), at: at(at_text) });
        let waits = row(TaskState::Queued);
        assert!(is_news(None, None, now));
        assert!(!is_news(told("2026-05-01T11:00:01Z"), Some(&waits), now));
        assert!(is_news(told("2026-05-01T11:00:00Z"), Some(&waits), now));
    }

    #[test]
    fn trouble_after_the_last_one_has_started_is_news() {
        let now = at("2026-05-01T12:00:00Z");
        let told = Some(Told { id: TaskId(uuid::Uuid::from_u128(1)), at: at("2026-05-01T11:59:00Z") });
        assert!(is_news(told, Some(&row(TaskState::Succeeded)), now));
        assert!(is_news(told, None, now), "who knows");
        assert!(!is_news(told, Some(&row(TaskState::Expired)), now));
    }

    #[test]
    fn the_advice_fits_where_the_task_is() {
        assert!(advice(&row(TaskState::Queued)).contains("no worker has taken it"));
        assert!(advice(&row(TaskState::Scheduled)).contains("broker"));
        let parked =
            TaskRecord { note: Some("no worker knows its name".into()), ..row(TaskState::Scheduled) };
        assert!(advice(&parked).contains("see the note"));
    }
}
