//! Acting on tasks: cancel, retry, drop.

use super::row::{self, Brief, End, Move, New, state_number};
use super::tally::Tally;
use super::unique;
use crate::id::{Seq, TaskId};
use crate::ledger::{ActAnswer, Action, rule};
use crate::sqlite::{SqliteError, Write};
use crate::task::TaskState;

pub(super) fn act(write: &Write<'_>, ids: &[TaskId], action: &Action) -> Result<Vec<ActAnswer>, SqliteError> {
    let mut tally = Tally::default();
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        let row = row::find(write, *id)?;
        answers.push(match (action, row) {
            (Action::Cancel { reason }, Some(row)) => cancel(write, &mut tally, &row, reason)?,
            (Action::Cancel { reason }, None) => tombstone(write, &mut tally, *id, reason)?,
            (_, None) => ActAnswer::Unknown,
            (Action::Retry, Some(row)) => retry(write, &mut tally, *id, &row)?,
            (Action::Drop, Some(row)) => forget(write, &mut tally, &row)?,
        });
    }
    tally.write(write)?;
    Ok(answers)
}

fn cancel(write: &Write<'_>, tally: &mut Tally, row: &Brief, reason: &str) -> Result<ActAnswer, SqliteError> {
    match row.state {
        TaskState::Running => {
            write.prepare_cached("UPDATE task SET cancel = 1 WHERE row = ?1")?.execute([row.row])?;
            Ok(ActAnswer::Requested)
        }
        TaskState::Scheduled | TaskState::Queued | TaskState::Held => {
            row::end(write, tally, row, &ended(row, TaskState::Cancelled, reason))?;
            Ok(ActAnswer::Applied(TaskState::Cancelled))
        }
        state => Ok(ActAnswer::Refused(state)),
    }
}

fn ended<'a>(row: &Brief, state: TaskState, note: &'a str) -> End<'a> {
    End { note: Some(note), ..row.end_as(state) }
}

/// A task that was published without a row may still be on its way: its claim will find this.
fn tombstone(
    write: &Write<'_>,
    tally: &mut Tally,
    id: TaskId,
    reason: &str,
) -> Result<ActAnswer, SqliteError> {
    let message = rule::tombstone(id);
    let note = rule::tombstone_note(reason);
    let (state, due_at) = (TaskState::Cancelled, write.now());
    let new = New { message: &message, state, seq: Seq(0), due_at, wake_at: None, note: Some(&note) };
    let row = row::insert(write, tally, &new)?;
    // There is nothing to retry.
    write.prepare_cached("DELETE FROM detail WHERE task = ?1")?.execute([row])?;
    Ok(ActAnswer::Applied(TaskState::Cancelled))
}

fn retry(write: &Write<'_>, tally: &mut Tally, id: TaskId, row: &Brief) -> Result<ActAnswer, SqliteError> {
    let ended_badly = matches!(row.state, TaskState::Dead | TaskState::Cancelled | TaskState::Expired);
    let waits = row.state == TaskState::Scheduled;
    if !(ended_badly && has_details(write, row)? || waits) {
        return Ok(ActAnswer::Refused(row.state));
    }
    if ended_badly && let Some(by) = unique::take_again(write, id, row)? {
        return Ok(ActAnswer::KeyTaken { by });
    }
    let moved = Move {
        attempts: if waits { row.attempts } else { 0 },
        crashes: if waits { row.crashes } else { 0 },
        note: Some("retried by hand"),
        ..row.move_to(write.now())
    };
    row::reschedule(write, tally, row, &moved)?;
    if ended_badly {
        write.prepare_cached("UPDATE task SET expires_at = NULL WHERE row = ?1")?.execute([row.row])?;
    }
    Ok(ActAnswer::Applied(TaskState::Scheduled))
}

fn has_details(write: &Write<'_>, row: &Brief) -> Result<bool, SqliteError> {
    Ok(write.prepare_cached("SELECT 1 FROM detail WHERE task = ?1")?.exists([row.row])?)
}

/// A dropped task's id stays known, as that of a cancelled one.
fn forget(write: &Write<'_>, tally: &mut Tally, row: &Brief) -> Result<ActAnswer, SqliteError> {
    if row.state != TaskState::Dead {
        return Ok(ActAnswer::Refused(row.state));
    }
    let cancelled = state_number(TaskState::Cancelled);
    write
        .prepare_cached("UPDATE task SET state = ?2, note = 'dropped' WHERE row = ?1")?
        .execute((row.row, cancelled))?;
    write.prepare_cached("DELETE FROM detail WHERE task = ?1")?.execute([row.row])?;
    tally.step(&row.queue, state_number(TaskState::Dead), cancelled);
    Ok(ActAnswer::Applied(TaskState::Cancelled))
}
