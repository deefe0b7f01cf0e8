//! Settling verdicts.

use std::time::Duration;

use super::agenda;
use super::row::{End, Move, Row};
use super::state::Write;
use crate::id::OwnerId;
use crate::ledger::past::Ended;
use crate::ledger::rule;
use crate::ledger::stored::duration_micros;
use crate::ledger::{OwnedClaim, SettleAnswer, Settlement};
use crate::task::TaskState;
use crate::verdict::{RunError, Verdict};

pub(super) fn settle(write: &mut Write<'_>, batch: Vec<Settlement>) -> Vec<SettleAnswer> {
    batch.into_iter().map(|settlement| settle_one(write, settlement)).collect()
}

fn settle_one(write: &mut Write<'_>, settlement: Settlement) -> SettleAnswer {
    let claim = settlement.claim;
    let Some((number, row)) = write.state.find(claim.id) else { return SettleAnswer::Stale };
    if !is_newest(row, &claim) {
        return SettleAnswer::Stale;
    }
    // Whatever ends a claim other than its own settle clears the token: a token that is left was settled.
    if row.state != TaskState::Running {
        return SettleAnswer::AlreadySettled;
    }
    let may_be_cancelled = settlement.stands(TaskState::Cancelled);
    let state = Ending { number, keep_token: true }.apply(write, settlement.verdict);
    if state != TaskState::Cancelled || may_be_cancelled {
        agenda::add(write, settlement.then);
    }
    SettleAnswer::Applied(state)
}

fn is_newest(row: &Row, claim: &OwnedClaim) -> bool {
    row.fence == Some(claim.fence) && row.token == Some(claim.token)
}

/// The end of one run.
struct Ending {
    number: i64,
    /// Whether it is the claim's own settle, which must be recognised when it is repeated.
    keep_token: bool,
}

impl Ending {
    /// Writes a verdict on a running row; answers the row's state then.
    fn apply(&self, write: &mut Write<'_>, verdict: Verdict) -> TaskState {
        let cancel = write.state.row(self.number).cancel;
        if let Some(ended) = Ended::by(&verdict, cancel) {
            write.add_past(self.number, &ended);
        }
        match verdict {
            Verdict::Succeeded { result } => {
                let end = self.end(write, TaskState::Succeeded);
                write.end(self.number, End { result, ..end });
                TaskState::Succeeded
            }
            Verdict::Retry { error, .. } | Verdict::Dead { error } if cancel => {
                self.cancelled(write, Some(error), "cancelled while it ran; the run failed")
            }
            Verdict::Retry { delay, error } => {
                let to = self.move_by(write, duration_micros(delay));
                write.reschedule(self.number, Move { attempts: to.attempts + 1, error: Some(error), ..to });
                TaskState::Scheduled
            }
            Verdict::Dead { error } => {
                let end = self.end(write, TaskState::Dead);
                write.end(self.number, End { attempts: end.attempts + 1, error: Some(error), ..end });
                TaskState::Dead
            }
            Verdict::Crashed { error, again } => self.crashed(write, error, again.filter(|_| !cancel)),
            Verdict::Cancelled { reason } => self.cancelled(write, None, &reason),
            Verdict::Snooze { .. } | Verdict::Released { .. } if cancel => {
                self.cancelled(write, None, "cancelled while it ran")
            }
            Verdict::Snooze { delay } => {
                let to = self.move_by(write, duration_micros(delay));
                write.reschedule(self.number, Move { note: Some("snoozed"), ..to });
                TaskState::Scheduled
            }
            Verdict::Released { reason } => {
                let to = self.move_by(write, 0);
                write.reschedule(self.number, Move { note: Some(&reason), ..to });
                TaskState::Scheduled
            }
        }
    }

    fn end(&self, write: &Write<'_>, state: TaskState) -> End<'static> {
        End { keep_token: self.keep_token, ..write.state.row(self.number).end_as(state) }
    }

    fn move_by(&self, write: &Write<'_>, delay: i64) -> Move<'static> {
        let due_at = write.now().saturating_add(delay);
        Move { keep_token: self.keep_token, ..write.state.row(self.number).move_to(due_at) }
    }

    /// The process that ran it alone died.
    fn crashed(&self, write: &mut Write<'_>, error: RunError, again: Option<Duration>) -> TaskState {
        let row = write.state.row(self.number);
        let (crashes, cancel) = (row.crashes + 1, row.cancel);
        if let Some(delay) = again {
            let to = self.move_by(write, duration_micros(delay));
            write.reschedule(self.number, Move { crashes, error: Some(error), ..to });
            return TaskState::Scheduled;
        }
        let state = if cancel { TaskState::Cancelled } else { TaskState::Dead };
        let note = cancel.then_some(rule::CANCELLED_CRASHED);
        let end = self.end(write, state);
        write.end(self.number, End { crashes, error: Some(error), note, ..end });
        state
    }

    fn cancelled(&self, write: &mut Write<'_>, error: Option<RunError>, note: &str) -> TaskState {
        let end = self.end(write, TaskState::Cancelled);
        let attempts = end.attempts + u32::from(error.is_some());
        write.end(self.number, End { attempts, error, note: Some(note), ..end });
        TaskState::Cancelled
    }
}

/// Gives back those of these claims that are still the owner's; answers how many.
pub(super) fn release(write: &mut Write<'_>, owner: OwnerId, claims: &[OwnedClaim]) -> u64 {
    let mut released = 0;
    for claim in claims {
        let Some((number, row)) = write.state.find(claim.id) else { continue };
        if row.state == TaskState::Running && row.owner == Some(owner) && is_newest(row, claim) {
            let verdict = Verdict::Released { reason: "released: its claim was not wanted any more".into() };
            // A settle of this claim that still comes would be no repetition: it must be told that it is stale.
            Ending { number, keep_token: false }.apply(write, verdict);
            released += 1;
        }
    }
    released
}
