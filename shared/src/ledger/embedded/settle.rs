//! Settling verdicts.

use std::time::Duration;

use super::row::{self, Brief, End, Move, duration_micros};
use super::tally::Tally;
use super::{agenda, past};
use crate::id::OwnerId;
use crate::ledger::past::Ended;
use crate::ledger::{OwnedClaim, SettleAnswer, Settlement, rule};
use crate::sqlite::{SqliteError, Write};
use crate::task::TaskState;
use crate::verdict::{RunError, Verdict};

pub(super) fn settle(write: &Write<'_>, batch: &[Settlement]) -> Result<Vec<SettleAnswer>, SqliteError> {
    let mut tally = Tally::default();
    let mut answers = Vec::with_capacity(batch.len());
    for settlement in batch {
        answers.push(settle_one(write, &mut tally, settlement)?);
    }
    tally.write(write)?;
    Ok(answers)
}

fn settle_one(
    write: &Write<'_>,
    tally: &mut Tally,
    settlement: &Settlement,
) -> Result<SettleAnswer, SqliteError> {
    let claim = &settlement.claim;
    let Some(row) = row::find(write, claim.id)? else { return Ok(SettleAnswer::Stale) };
    if row.fence != Some(claim.fence.0) || row.token != Some(claim.token.0) {
        return Ok(SettleAnswer::Stale);
    }
    // Whatever ends a claim other than its own settle clears the token: a token that is left was settled.
    if row.state != TaskState::Running {
        return Ok(SettleAnswer::AlreadySettled);
    }
    let state = apply(&Ending { write, row: &row, keep_token: true }, tally, &settlement.verdict)?;
    if !settlement.then.is_empty() && settlement.stands(state) {
        agenda::add(write, tally, &settlement.then)?;
    }
    Ok(SettleAnswer::Applied(state))
}

/// Writes a verdict on a running row; answers the row's state then.
fn apply(ending: &Ending<'_>, tally: &mut Tally, verdict: &Verdict) -> Result<TaskState, SqliteError> {
    let (write, row) = (ending.write, ending.row);
    if let Some(ended) = Ended::by(verdict, row.cancel) {
        past::add(write, row, &ended)?;
    }
    match verdict {
        Verdict::Succeeded { result } => {
            let end = End { result: result.as_ref(), ..ending.end(TaskState::Succeeded) };
            row::end(write, tally, row, &end)?;
            Ok(TaskState::Succeeded)
        }
        Verdict::Retry { error, .. } | Verdict::Dead { error } if row.cancel => {
            ending.cancelled(tally, Some(error), "cancelled while it ran; the run failed")
        }
        Verdict::Crashed { error, again } => ending.crashed(tally, error, *again),
        Verdict::Retry { delay, error } => {
            let moved = Move {
                attempts: row.attempts + 1,
                error: Some(error),
                ..ending.move_by(duration_micros(*delay))
            };
            row::reschedule(write, tally, row, &moved)?;
            Ok(TaskState::Scheduled)
        }
        Verdict::Dead { error } => {
            let end = End { attempts: row.attempts + 1, error: Some(error), ..ending.end(TaskState::Dead) };
            row::end(write, tally, row, &end)?;
            Ok(TaskState::Dead)
        }
        Verdict::Cancelled { reason } => ending.cancelled(tally, None, reason),
        Verdict::Snooze { .. } | Verdict::Released { .. } if row.cancel => {
            ending.cancelled(tally, None, "cancelled while it ran")
        }
        Verdict::Snooze { delay } => {
            let moved = Move { note: Some("snoozed"), ..ending.move_by(duration_micros(*delay)) };
            row::reschedule(write, tally, row, &moved)?;
            Ok(TaskState::Scheduled)
        }
        Verdict::Released { reason } => {
            row::reschedule(write, tally, row, &Move { note: Some(reason), ..ending.move_by(0) })?;
            Ok(TaskState::Scheduled)
        }
    }
}

/// What most ends and moves of a settled row have in common.
struct Ending<'a> {
    write: &'a Write<'a>,
    row: &'a Brief,
    /// Whether it is the claim's own settle, which must be recognised when it is repeated.
    keep_token: bool,
}

impl<'a> Ending<'a> {
    fn end(&self, state: TaskState) -> End<'a> {
        End { keep_token: self.keep_token, ..self.row.end_as(state) }
    }

    fn move_by(&self, delay: i64) -> Move<'a> {
        Move { keep_token: self.keep_token, ..self.row.move_to(self.write.now().saturating_add(delay)) }
    }

    /// The process that ran it alone died.
    fn crashed(
        &self,
        tally: &mut Tally,
        error: &RunError,
        again: Option<Duration>,
    ) -> Result<TaskState, SqliteError> {
        let crashes = self.row.crashes + 1;
        let error = Some(error);
        let end = match again {
            Some(delay) if !self.row.cancel => {
                let moved = Move { crashes, error, ..self.move_by(duration_micros(delay)) };
                row::reschedule(self.write, tally, self.row, &moved)?;
                return Ok(TaskState::Scheduled);
            }
            _ if self.row.cancel => {
                End { note: Some(rule::CANCELLED_CRASHED), ..self.end(TaskState::Cancelled) }
            }
            _ => self.end(TaskState::Dead),
        };
        row::end(self.write, tally, self.row, &End { crashes, error, ..end })?;
        Ok(end.state)
    }

    fn cancelled(
        &self,
        tally: &mut Tally,
        error: Option<&RunError>,
        note: &str,
    ) -> Result<TaskState, SqliteError> {
        let attempts = self.row.attempts + u32::from(error.is_some());
        let end = End { attempts, error, note: Some(note), ..self.end(TaskState::Cancelled) };
        row::end(self.write, tally, self.row, &end)?;
        Ok(TaskState::Cancelled)
    }
}

/// Gives back those of these claims that are still the owner's; answers how many.
pub(super) fn release(write: &Write<'_>, owner: OwnerId, claims: &[OwnedClaim]) -> Result<u64, SqliteError> {
    let mut tally = Tally::default();
    let mut released = 0;
    let verdict = Verdict::Released { reason: "released: its claim was not wanted any more".into() };
    for claim in claims {
        let Some(row) = row::find(write, claim.id)? else { continue };
        let held = row.state == TaskState::Running
            && row.owner == Some(*owner.0.as_bytes())
            && row.fence == Some(claim.fence.0)
            && row.token == Some(claim.token.0);
        if held {
            // A settle of this claim that still comes would be no repetition: it must be told that it is stale.
            apply(&Ending { write, row: &row, keep_token: false }, &mut tally, &verdict)?;
            released += 1;
        }
    }
    tally.write(write)?;
    Ok(released)
}
