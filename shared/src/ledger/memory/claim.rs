//! The claim, exactly: answers by the first rule that fits.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::limit;
use super::member;
use super::row::{End, Row};
use super::state::Write;
use crate::id::{Fence, OwnerId, Seq};
use crate::ledger::stored::{duration_micros, instant};
use crate::ledger::{Claim, ClaimAnswer, ClaimRequest, rule};
use crate::message::Message;
use crate::task::TaskState;

pub(super) fn claim(
    write: &mut Write<'_>,
    owner: OwnerId,
    batch: Vec<ClaimRequest>,
    stale_after: Duration,
) -> Vec<ClaimAnswer> {
    if !member::is_live(write.state, owner) {
        return batch.iter().map(|_| ClaimAnswer::Retired).collect();
    }
    let mut met = BTreeSet::new();
    let mut answers = Vec::with_capacity(batch.len());
    for request in batch {
        let id = request.message.id;
        if met.contains(&id) {
            answers.push(ClaimAnswer::Busy);
            continue;
        }
        let answer = match write.state.number(id) {
            Some(number) => claim_row(write, owner, &request, number),
            None => claim_new(write, owner, request, stale_after),
        };
        // A stale message may come in one batch with the one that was promoted after it, which must not be lost. When the
        // same batch is asked again, that one runs, and the older message is busy.
        if !matches!(answer, ClaimAnswer::Stale | ClaimAnswer::Busy) {
            met.insert(id);
        }
        answers.push(answer);
    }
    answers
}

fn claim_row(write: &mut Write<'_>, owner: OwnerId, request: &ClaimRequest, number: i64) -> ClaimAnswer {
    let row = write.state.row(number);
    match row.state {
        state if state.is_terminal() => ClaimAnswer::Done(state),
        TaskState::Running if row.owner == Some(owner) && row.token == Some(request.token) => {
            // The answer to this very claim was lost on its way.
            ClaimAnswer::Acquired(granted(write, number))
        }
        TaskState::Running => ClaimAnswer::Busy,
        TaskState::Held => ClaimAnswer::Stale,
        _ if row.seq > request.message.seq.0 => ClaimAnswer::Stale,
        _ if row.expires_at.is_some_and(|at| at <= write.now()) => {
            expire(write, number);
            ClaimAnswer::Ended(TaskState::Expired)
        }
        _ => take(write, owner, request, number),
    }
}

fn take(write: &mut Write<'_>, owner: OwnerId, request: &ClaimRequest, number: i64) -> ClaimAnswer {
    let now = write.now();
    let enqueued_at = write.state.change(number, |row| {
        row.state = TaskState::Running;
        // A higher seq in the message means that the store forgot a move: adopt it.
        row.seq = row.seq.max(request.message.seq.0);
        row.fence = Some(Fence::after(row.fence, instant(now)));
        (row.token, row.owner) = (Some(request.token), Some(owner));
        row.started_at = Some(now);
        row.wake_at = None;
        (row.looks, row.parks, row.parked_at) = (0, 0, None);
        row.cancel = false;
        row.note = None;
        *row.enqueued_at.get_or_insert(now)
    });
    let (queue, priority) = (write.state.row(number).queue.clone(), write.state.row(number).priority);
    write.state.queue(&queue).progress(priority, enqueued_at);
    let claim = granted(write, number);
    limit::admit(write, number, &request.limits, claim)
}

fn claim_new(
    write: &mut Write<'_>,
    owner: OwnerId,
    request: ClaimRequest,
    stale_after: Duration,
) -> ClaimAnswer {
    let ClaimRequest { message, token, limits } = request;
    let now = write.now();
    if is_stale(&message, stale_after, now) {
        return end_unknown(write, message, TaskState::Dead);
    }
    if message.must_start_by().is_some_and(|at| at.as_microsecond() <= now) {
        return end_unknown(write, message, TaskState::Expired);
    }
    let (seq, enqueued_at) = (message.seq, message.first_published.map(Timestamp::as_microsecond));
    let number = write.insert(Row {
        fence: Some(Fence::after(None, instant(now))),
        token: Some(token),
        owner: Some(owner),
        started_at: Some(now),
        enqueued_at,
        ..Row::new(message, TaskState::Running, seq, now, now)
    });
    // It was due when it was published, which its message knows better than its row.
    let claim = Claim { due_at: None, ..granted(write, number) };
    limit::admit(write, number, &limits, claim)
}

/// A message this old may be of a task that ended and whose id was forgotten.
fn is_stale(message: &Message, stale_after: Duration, now: i64) -> bool {
    let oldest = now.saturating_sub(duration_micros(stale_after));
    message.first_published.is_some_and(|at| at.as_microsecond() < oldest)
}

fn end_unknown(write: &mut Write<'_>, message: Message, state: TaskState) -> ClaimAnswer {
    let (seq, now) = (message.seq, write.now());
    let number = write.insert(Row::new(message, TaskState::Scheduled, seq, now, now));
    match state {
        TaskState::Expired => expire(write, number),
        _ => end_stale(write, number),
    }
    ClaimAnswer::Ended(state)
}

/// What a running row grants its owner.
fn granted(write: &Write<'_>, number: i64) -> Claim {
    let row = write.state.row(number);
    Claim {
        fence: row.fence.expect("a running row has a fence"),
        seq: Seq(row.seq),
        attempts: row.attempts,
        crashes: row.crashes,
        due_at: Some(instant(row.due_at)),
        at: instant(write.now()),
        cancel_requested: row.cancel,
    }
}

/// Its time was over before it started.
pub(super) fn expire(write: &mut Write<'_>, number: i64) {
    let end = write.state.row(number).end_as(TaskState::Expired);
    write.end(number, End { note: Some("it did not start before it expired"), ..end });
}

fn end_stale(write: &mut Write<'_>, number: i64) {
    let end = write.state.row(number).end_as(TaskState::Dead);
    write.end(number, End { error: Some(rule::stale_error()), note: Some("stale"), ..end });
}
