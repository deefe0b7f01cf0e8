//! The claim, exactly: answers by the first rule that fits.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use super::limit::{self, Claimed};
use super::row::{self, Brief, New, duration_micros, instant, state_number};
use super::tally::Tally;
use super::{member, row::End};
use crate::id::{Fence, OwnerId, Seq};
use crate::ledger::{Claim, ClaimAnswer, ClaimRequest, rule};
use crate::message::Message;
use crate::sqlite::{SqliteError, Write};
use crate::task::TaskState;

pub(super) fn claim(
    write: &Write<'_>,
    owner: OwnerId,
    batch: &[ClaimRequest],
    stale_after: Duration,
) -> Result<Vec<ClaimAnswer>, SqliteError> {
    if !member::is_live(write, owner)? {
        return Ok(batch.iter().map(|_| ClaimAnswer::Retired).collect());
    }
    let mut tally = Tally::default();
    let mut met = HashSet::with_capacity(batch.len());
    let mut answers = Vec::with_capacity(batch.len());
    let claimant = Claimant { write, owner, stale_after };
    for request in batch {
        let id = request.message.id;
        if met.contains(&id) {
            answers.push(ClaimAnswer::Busy);
            continue;
        }
        let answer = claimant.claim(&mut tally, request)?;
        // A stale message may come in one batch with the one that was promoted after it, which must not be lost. When the
        // same batch is asked again, that one runs, and the older message is busy.
        if !matches!(answer, ClaimAnswer::Stale | ClaimAnswer::Busy) {
            met.insert(id);
        }
        answers.push(answer);
    }
    tally.write(write)?;
    Ok(answers)
}

struct Claimant<'a> {
    write: &'a Write<'a>,
    owner: OwnerId,
    stale_after: Duration,
}

impl Claimant<'_> {
    fn claim(&self, tally: &mut Tally, request: &ClaimRequest) -> Result<ClaimAnswer, SqliteError> {
        match row::find(self.write, request.message.id)? {
            Some(row) => self.claim_row(tally, request, &row),
            None => self.claim_new(tally, request),
        }
    }

    fn claim_row(
        &self,
        tally: &mut Tally,
        request: &ClaimRequest,
        row: &Brief,
    ) -> Result<ClaimAnswer, SqliteError> {
        let message = &request.message;
        match row.state {
            state if state.is_terminal() => Ok(ClaimAnswer::Done(state)),
            TaskState::Running if self.is_repeated(request, row) => Ok(self.again(row)),
            TaskState::Running => Ok(ClaimAnswer::Busy),
            TaskState::Held => Ok(ClaimAnswer::Stale),
            _ if row.seq > message.seq.0 => Ok(ClaimAnswer::Stale),
            _ if row.expires_at.is_some_and(|at| at <= self.write.now()) => self.expire(tally, row),
            _ => self.take(tally, request, row),
        }
    }

    /// The answer to this very claim was lost on its way.
    fn is_repeated(&self, request: &ClaimRequest, row: &Brief) -> bool {
        row.owner == Some(*self.owner.0.as_bytes()) && row.token == Some(request.token.0)
    }

    fn again(&self, row: &Brief) -> ClaimAnswer {
        ClaimAnswer::Acquired(Claim {
            fence: Fence(row.fence.unwrap_or_default()),
            seq: Seq(row.seq),
            attempts: row.attempts,
            crashes: row.crashes,
            at: instant(self.write.now()),
            due_at: row.due_at.map(instant),
            cancel_requested: row.cancel,
        })
    }

    fn expire(&self, tally: &mut Tally, row: &Brief) -> Result<ClaimAnswer, SqliteError> {
        expire(self.write, tally, row)?;
        Ok(ClaimAnswer::Ended(TaskState::Expired))
    }

    fn take(
        &self,
        tally: &mut Tally,
        request: &ClaimRequest,
        row: &Brief,
    ) -> Result<ClaimAnswer, SqliteError> {
        let write = self.write;
        let fence = Fence::after(row.fence.map(Fence), instant(write.now()));
        // A higher seq in the message means that the store forgot a move: adopt it.
        let seq = request.message.seq.0.max(row.seq);
        write
            .prepare_cached(
                "UPDATE task SET state = 2, seq = ?2, fence = ?3, token = ?4, owner = ?5, started_at = ?6,
                    enqueued_at = coalesce(enqueued_at, ?6), wake_at = NULL, looks = 0, parks = 0, parked_at = NULL,
                    cancel = 0, note = NULL
                 WHERE row = ?1",
            )?
            .execute((row.row, seq, fence.0, request.token.0, self.owner.0.as_bytes(), write.now()))?;
        let running = state_number(TaskState::Running);
        tally.step(&row.queue, state_number(row.state), running);
        tally.claimed(&row.queue, row.priority, row.enqueued_at.unwrap_or_else(|| write.now()));
        let claim = self.granted(fence, Seq(seq), row.attempts, row.crashes);
        let claim = Claim { due_at: row.due_at.map(instant), ..claim };
        let claimed = Claimed { row: row.row, queue: &row.queue, claim };
        limit::admit(write, tally, &claimed, &request.limits)
    }

    fn claim_new(&self, tally: &mut Tally, request: &ClaimRequest) -> Result<ClaimAnswer, SqliteError> {
        let message = &request.message;
        if self.is_stale(message) {
            return self.end_unknown(tally, message, TaskState::Dead);
        }
        if message.must_start_by().is_some_and(|at| at.as_microsecond() <= self.write.now()) {
            return self.end_unknown(tally, message, TaskState::Expired);
        }
        let now = self.write.now();
        let new = New {
            message,
            state: TaskState::Running,
            seq: message.seq,
            due_at: now,
            wake_at: None,
            note: None,
        };
        let row = row::insert(self.write, tally, &new)?;
        let fence = Fence::after(None, instant(now));
        self.write
            .prepare_cached(
                "UPDATE task SET fence = ?2, token = ?3, owner = ?4, started_at = ?5, enqueued_at = ?6 WHERE row = ?1",
            )?
            .execute((
                row,
                fence.0,
                request.token.0,
                self.owner.0.as_bytes(),
                now,
                message.first_published.map(Timestamp::as_microsecond),
            ))?;
        let claim = self.granted(fence, message.seq, message.attempts, message.crashes);
        let claimed = Claimed { row, queue: message.queue.as_str(), claim };
        limit::admit(self.write, tally, &claimed, &request.limits)
    }

    /// A message this old may be of a task that ended and whose id was forgotten.
    fn is_stale(&self, message: &Message) -> bool {
        let oldest = self.write.now().saturating_sub(duration_micros(self.stale_after));
        message.first_published.is_some_and(|at| at.as_microsecond() < oldest)
    }

    fn end_unknown(
        &self,
        tally: &mut Tally,
        message: &Message,
        state: TaskState,
    ) -> Result<ClaimAnswer, SqliteError> {
        let due_at = self.write.now();
        let new =
            New { message, state: TaskState::Scheduled, seq: message.seq, due_at, wake_at: None, note: None };
        row::insert(self.write, tally, &new)?;
        let row = row::find(self.write, message.id)?
            .ok_or_else(|| SqliteError::Invalid("a row just made is gone".into()))?;
        match state {
            TaskState::Expired => expire(self.write, tally, &row)?,
            _ => end_stale(self.write, tally, &row)?,
        }
        Ok(ClaimAnswer::Ended(state))
    }

    fn granted(&self, fence: Fence, seq: Seq, attempts: u32, crashes: u32) -> Claim {
        let at = instant(self.write.now());
        Claim { fence, seq, attempts, crashes, due_at: None, at, cancel_requested: false }
    }
}

/// Its time was over before it started.
pub(super) fn expire(write: &Write<'_>, tally: &mut Tally, row: &Brief) -> Result<(), SqliteError> {
    let end = End { note: Some("it did not start before it expired"), ..row.end_as(TaskState::Expired) };
    row::end(write, tally, row, &end)
}

fn end_stale(write: &Write<'_>, tally: &mut Tally, row: &Brief) -> Result<(), SqliteError> {
    let error = rule::stale_error();
    let end = End { error: Some(&error), note: Some("stale"), ..row.end_as(TaskState::Dead) };
    row::end(write, tally, row, &end)
}
