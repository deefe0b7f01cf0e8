//! Settling verdicts, and giving claims back.

use super::agenda::push_entry;
use super::error::Fault;
use super::packed::{Packed, Unpacked};
use super::reply;
use super::row::{duration_micros, error_text, state_of};
use super::script::Call;
use super::session::Session;
use crate::id::OwnerId;
use crate::ledger::{OwnedClaim, SettleAnswer, Settlement};
use crate::verdict::Verdict;

/// Notes are short; what is not is cut.
pub(super) const LONGEST_NOTE: usize = 16 * 1024;

/// What a record says of a claim that was given back.
const RELEASED: &str = "released: its claim was not wanted any more";

/// What a verdict leaves behind, and of which kind it is.
enum Left {
    Nothing,
    Note(String),
    Error(String),
    Result(Vec<u8>),
}

pub(super) fn note(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_NOTE)]
}

pub(super) async fn settle(session: &Session, batch: &[Settlement]) -> Result<Vec<SettleAnswer>, Fault> {
    let mut args = session.begin(Call::Settle);
    for Settlement { claim, verdict, then, .. } in batch {
        let (kind, delay, left) = taken_apart(verdict)?;
        let (with, left) = match left {
            Left::Nothing => (0, None),
            Left::Note(note) => (1, Some(note.into_bytes())),
            Left::Error(error) => (2, Some(error.into_bytes())),
            Left::Result(result) => (3, Some(result)),
        };
        let entries = u16::try_from(then.len())
            .map_err(|_| Fault::Invalid(format!("{} entries come with one verdict: too many", then.len())))?;
        args.push(packed(claim).byte(kind).long(delay).byte(with).short(entries));
        if let Some(left) = left {
            args.push(left);
        }
        for entry in then {
            push_entry(&mut args, entry)?;
        }
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    let mut from = Unpacked(&answers);
    batch.iter().map(|_| one(&mut from)).collect()
}

fn packed(claim: &OwnedClaim) -> Packed {
    Packed::of_id(claim.id).long(claim.fence.0).token(claim.token)
}

fn one(from: &mut Unpacked<'_>) -> Result<SettleAnswer, Fault> {
    let (answer, state) = (from.byte()?, from.byte()?);
    match answer {
        0 => Ok(SettleAnswer::Applied(state_of(state)?)),
        1 => Ok(SettleAnswer::AlreadySettled),
        2 => Ok(SettleAnswer::Stale),
        other => Err(Fault::Invalid(format!("a settle was answered with an unknown {other}"))),
    }
}

/// Its kind, its delay, and what it leaves behind.
fn taken_apart(verdict: &Verdict) -> Result<(u8, i64, Left), Fault> {
    Ok(match verdict {
        Verdict::Succeeded { result: None } => (0, 0, Left::Nothing),
        Verdict::Succeeded { result: Some(result) } => {
            let result = rmp_serde::to_vec(result).map_err(|error| Fault::Invalid(error.to_string()))?;
            (0, 0, Left::Result(result))
        }
        Verdict::Retry { delay, error } => (1, duration_micros(*delay), Left::Error(error_text(error)?)),
        Verdict::Dead { error } => (2, 0, Left::Error(error_text(error)?)),
        Verdict::Cancelled { reason } => (3, 0, Left::Note(note(reason).to_owned())),
        Verdict::Snooze { delay } => (4, duration_micros(*delay), Left::Nothing),
        Verdict::Crashed { error, again } => {
            let kind = if again.is_some() { 6 } else { 7 };
            (kind, duration_micros(again.unwrap_or_default()), Left::Error(error_text(error)?))
        }
        Verdict::Released { reason } => (5, 0, Left::Note(note(reason).to_owned())),
    })
}

/// Gives back those of these claims that are still the owner's; answers how many.
pub(super) async fn release(session: &Session, owner: OwnerId, claims: &[OwnedClaim]) -> Result<u64, Fault> {
    let mut args = session.begin(Call::Release);
    args.push(owner.0.as_bytes()).number(0).push(RELEASED);
    for claim in claims {
        args.push(packed(claim));
    }
    reply::count(&session.run(&args).await?)
}

/// A member leaves in good order: all that is its own is given back.
pub(super) async fn leave(session: &Session, owner: OwnerId) -> Result<(), Fault> {
    let mut args = session.begin(Call::Release);
    args.push(owner.0.as_bytes()).number(1).push(RELEASED);
    session.run(&args).await.map(drop)
}
