//! The claim, as a script and its answers.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Value;

use super::error::Fault;
use super::packed::{Packed, Unpacked};
use super::reply;
use super::row::{self, duration_micros, error_text, instant, micros_or_none, state_of, time};
use super::script::Call;
use super::session::Session;
use crate::id::{Fence, OwnerId, Seq};
use crate::ledger::limit::rate_micros;
use crate::ledger::rule;
use crate::ledger::{Claim, ClaimAnswer, ClaimRequest};
use crate::limit::{LimitPolicy, LimitUse};

/// What the record of a message says that came too late.
static STALE: LazyLock<String> =
    LazyLock::new(|| error_text(&rule::stale_error()).expect("a text and a kind can be encoded"));

pub(super) async fn claim(
    session: &Session,
    owner: OwnerId,
    batch: &[ClaimRequest],
    stale_after: Duration,
) -> Result<Vec<ClaimAnswer>, Fault> {
    let mut args = session.begin(Call::Claim);
    args.push(owner.0.as_bytes()).number(duration_micros(stale_after)).push(STALE.as_str());
    for ClaimRequest { message, token, limits } in batch {
        let numbers = Packed::of_id(message.id)
            .token(*token)
            .long(message.seq.0)
            .int(message.attempts)
            .int(message.crashes)
            .long(micros_or_none(message.must_start_by()))
            .long(micros_or_none(message.first_published));
        let numbers = limits.iter().fold(numbers, with_limit);
        row::push(&mut args, numbers, message)?;
    }
    let answer = session.run(&args).await?;
    if answer == Value::Nil {
        return Ok(vec![ClaimAnswer::Retired; batch.len()]);
    }
    let [now, answers] = reply::parts(answer)?;
    let (now, answers) = (reply::number(&now)?, reply::bytes(answers)?);
    let mut from = Unpacked(&answers);
    batch.iter().map(|_| one(&mut from, now)).collect()
}

/// A limit behind a request's numbers; less than nothing where it has no slots or no rate.
fn with_limit(numbers: Packed, limit: &LimitUse) -> Packed {
    let (interval, early) = limit.rate.map_or((-1, 0), rate_micros);
    let running = limit.running.map_or(u32::MAX, |running| running.min(LimitPolicy::MAX_RUNNING));
    numbers.text(&limit.id).int(running).long(interval).long(early)
}

fn one(from: &mut Unpacked<'_>, now: i64) -> Result<ClaimAnswer, Fault> {
    match from.byte()? {
        0 => Ok(ClaimAnswer::Acquired(Claim {
            fence: Fence(from.long()?),
            seq: Seq(from.long()?),
            attempts: from.int()?,
            crashes: from.int()?,
            due_at: time(from.long()?),
            at: instant(now),
            cancel_requested: from.byte()? == 1,
        })),
        1 => Ok(ClaimAnswer::Done(state_of(from.byte()?)?)),
        2 => Ok(ClaimAnswer::Busy),
        3 => Ok(ClaimAnswer::Stale),
        4 => Ok(ClaimAnswer::Ended(state_of(from.byte()?)?)),
        5 => Ok(ClaimAnswer::Limited { by: usize::from(from.short()?), until: time(from.long()?) }),
        other => Err(Fault::Invalid(format!("a claim was answered with an unknown {other}"))),
    }
}
