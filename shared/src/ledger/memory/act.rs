//! Acting on tasks: cancel, retry, drop.

use super::row::{End, Move, Row};
use super::state::Write;
use super::unique;
use crate::id::{Seq, TaskId};
use crate::ledger::{ActAnswer, Action, rule};
use crate::task::TaskState;

pub(super) fn act(write: &mut Write<'_>, ids: &[TaskId], action: &Action) -> Vec<ActAnswer> {
    ids.iter().map(|id| act_on(write, *id, action)).collect()
}

fn act_on(write: &mut Write<'_>, id: TaskId, action: &Action) -> ActAnswer {
    match (action, write.state.number(id)) {
        (Action::Cancel { reason }, Some(number)) => cancel(write, number, reason),
        (Action::Cancel { reason }, None) => tombstone(write, id, reason),
        (Action::Retry | Action::Drop, None) => ActAnswer::Unknown,
        (Action::Retry, Some(number)) => retry(write, number),
        (Action::Drop, Some(number)) => forget(write, number),
    }
}

fn cancel(write: &mut Write<'_>, number: i64, reason: &str) -> ActAnswer {
    let row = write.state.row(number);
    match row.state {
        TaskState::Running => {
            write.state.change(number, |row| row.cancel = true);
            ActAnswer::Requested
        }
        TaskState::Scheduled | TaskState::Queued | TaskState::Held => {
            let end = End { note: Some(reason), ..row.end_as(TaskState::Cancelled) };
            write.end(number, end);
            ActAnswer::Applied(TaskState::Cancelled)
        }
        TaskState::Succeeded | TaskState::Dead | TaskState::Cancelled | TaskState::Expired => {
            ActAnswer::Refused(row.state)
        }
    }
}

fn tombstone(write: &mut Write<'_>, id: TaskId, reason: &str) -> ActAnswer {
    let now = write.now();
    let row = Row::new(rule::tombstone(id), TaskState::Cancelled, Seq(0), now, now);
    // Without details: there is nothing to retry.
    write.insert(Row { note: Some(rule::tombstone_note(reason)), details: None, ..row });
    ActAnswer::Applied(TaskState::Cancelled)
}

fn retry(write: &mut Write<'_>, number: i64) -> ActAnswer {
    let row = write.state.row(number);
    let ended_badly = matches!(row.state, TaskState::Dead | TaskState::Cancelled | TaskState::Expired);
    let waits = row.state == TaskState::Scheduled;
    if !(ended_badly && row.details.is_some() || waits) {
        return ActAnswer::Refused(row.state);
    }
    let to = Move { note: Some("retried by hand"), ..row.move_to(write.now()) };
    if waits {
        write.reschedule(number, to);
    } else {
        if let Err(by) = unique::take_again(write, number) {
            return ActAnswer::KeyTaken { by };
        }
        write.reschedule(number, Move { attempts: 0, crashes: 0, ..to });
        write.state.change(number, |row| row.expires_at = None);
    }
    ActAnswer::Applied(TaskState::Scheduled)
}

/// A dropped task's id stays known, as that of a cancelled one.
fn forget(write: &mut Write<'_>, number: i64) -> ActAnswer {
    let state = write.state.row(number).state;
    if state != TaskState::Dead {
        return ActAnswer::Refused(state);
    }
    write.state.change(number, |row| {
        row.state = TaskState::Cancelled;
        row.note = Some("dropped".to_owned());
        row.details = None;
    });
    ActAnswer::Applied(TaskState::Cancelled)
}
