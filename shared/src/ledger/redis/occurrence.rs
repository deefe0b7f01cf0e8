//! Occurrences: cursors move in the script that puts what they pass on the agenda.

use jiff::Timestamp;
use upbeat_schedule::{SkipReason, SkippedRange};

use super::agenda::push_entry;
use super::catalog::number;
use super::error::Fault;
use super::packed::{Packed, Unpacked, exact};
use super::reply;
use super::row::{duration_micros, instant};
use super::script::{Args, Call};
use super::session::Session;
use crate::id::TaskId;
use crate::ledger::rule::AHEAD;
use crate::ledger::{Advance, AdvanceAnswer};
use crate::name::ScheduleId;
use crate::occurrence::OccurrenceRecord;

/// Kinds of records, as they are kept.
const SKIPPED: u8 = 0;
const FIRED: u8 = 1;
const MERGED: u8 = 2;

pub(super) async fn advance(session: &Session, advances: &[Advance]) -> Result<Vec<AdvanceAnswer>, Fault> {
    let mut args = session.begin(Call::Advance);
    args.number(duration_micros(AHEAD));
    for advance in advances {
        push(&mut args, advance)?;
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    let mut from = Unpacked(&answers);
    advances.iter().map(|_| one(&mut from)).collect()
}

fn one(from: &mut Unpacked<'_>) -> Result<AdvanceAnswer, Fault> {
    let (answer, what) = (from.byte()?, from.long()?);
    match answer {
        0 => Ok(AdvanceAnswer::Advanced(what.unsigned_abs())),
        1 => Ok(AdvanceAnswer::Conflict),
        2 => Ok(AdvanceAnswer::Early(instant(what))),
        other => Err(Fault::Invalid(format!("an advance was answered with an unknown {other}"))),
    }
}

fn push(args: &mut Args, advance: &Advance) -> Result<(), Fault> {
    let records = records(advance)?;
    let count = |length: usize| {
        u16::try_from(length)
            .map_err(|_| Fault::Invalid(format!("{length} occurrences in one advance are too many")))
    };
    args.push(advance.id.as_str()).push(
        Packed::default()
            .long(number(advance.incarnation))
            .long(number(advance.revision))
            .long(advance.from.as_microsecond())
            .long(advance.to.as_microsecond())
            .short(count(advance.fire.len())?)
            .short(count(records.len())?),
    );
    for entry in &advance.fire {
        push_entry(args, entry)?;
    }
    for (_, record) in records {
        args.push(record);
    }
    Ok(())
}

/// What became of the instants that the cursor passes, in their order.
fn records(advance: &Advance) -> Result<Vec<(i64, Packed)>, Fault> {
    let fired = advance.fire.iter().filter_map(|entry| {
        let planned = entry.message.occurrence.as_ref()?;
        let at = exact(planned.planned_at.as_microsecond());
        Some((at, fired(planned.planned_at, entry.message.id)))
    });
    let mut records: Vec<(i64, Packed)> = fired.collect();
    for range in &advance.skipped {
        records.push((exact(range.from.as_microsecond()), skipped(range)?));
    }
    records.sort_by_key(|(at, _)| *at);
    Ok(records)
}

/// An instant that was fired, as it is kept.
pub(super) fn fired(planned_at: Timestamp, task: TaskId) -> Packed {
    let at = planned_at.as_microsecond();
    Packed::default().byte(FIRED).long(at).long(at).long(1).bytes(task.0.as_bytes())
}

/// An instant that the task which held its key stands for, as it is kept.
pub(super) fn merged(planned_at: Timestamp, task: TaskId) -> Packed {
    let at = planned_at.as_microsecond();
    Packed::default().byte(MERGED).long(at).long(at).long(1).bytes(task.0.as_bytes())
}

/// A run of instants that were not, as it is kept.
pub(super) fn skipped(range: &SkippedRange) -> Result<Packed, Fault> {
    let reason = serde_json::to_string(&range.reason).map_err(|error| Fault::Invalid(error.to_string()))?;
    Ok(Packed::default()
        .byte(SKIPPED)
        .long(range.from.as_microsecond())
        .long(range.until.as_microsecond())
        .long(i64::try_from(range.count).unwrap_or(i64::MAX))
        .bytes(&[0; 16])
        .bytes(reason.as_bytes()))
}

/// What became of a schedule's instants, the newest first.
pub(super) async fn list(
    session: &Session,
    id: &ScheduleId,
    limit: usize,
) -> Result<Vec<OccurrenceRecord>, Fault> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut args = session.begin(Call::Occurrences);
    args.push(id.as_str()).number(i64::try_from(limit).unwrap_or(i64::MAX));
    let records = reply::array(session.run(&args).await?)?;
    records.into_iter().map(|record| read(&reply::bytes(record)?)).collect()
}

fn read(bytes: &[u8]) -> Result<OccurrenceRecord, Fault> {
    let mut from = Unpacked(bytes);
    from.long()?;
    let fired_at = instant(from.long()?);
    let kind = from.byte()?;
    let (planned_at, until) = (instant(from.long()?), instant(from.long()?));
    let count = from.long()?.unsigned_abs();
    let task_id = from.id()?;
    if kind == FIRED {
        return Ok(OccurrenceRecord::Fired { planned_at, fired_at, task_id });
    }
    if kind == MERGED {
        return Ok(OccurrenceRecord::Merged { planned_at, merged_at: fired_at, task_id });
    }
    // A reason that a newer program wrote is unknown here.
    let reason = serde_json::from_slice(from.rest()).unwrap_or(SkipReason::Misfire);
    Ok(OccurrenceRecord::Skipped(SkippedRange { from: planned_at, until, count, reason }))
}
