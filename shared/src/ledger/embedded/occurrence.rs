//! Occurrences: cursors move in the transaction that puts what they pass on the agenda.

use rusqlite::{Connection, Row};
use upbeat_schedule::{SkipReason, SkippedRange};
use uuid::Uuid;

use super::row::instant;
use super::tally::Tally;
use super::{agenda, catalog};
use crate::id::TaskId;
use crate::ledger::rule::{self, Standing};
use crate::ledger::{AddAnswer, Advance, AdvanceAnswer, RestoredSchedule};
use crate::name::ScheduleId;
use crate::occurrence::{MERGED, OccurrenceRecord};
use crate::sqlite::{SqliteError, Topic, Write};

pub(super) fn advance(write: &Write<'_>, advances: &[Advance]) -> Result<Vec<AdvanceAnswer>, SqliteError> {
    let mut tally = Tally::default();
    let mut answers = Vec::with_capacity(advances.len());
    for one in advances {
        answers.push(advance_one(write, &mut tally, one)?);
    }
    tally.write(write)?;
    write.touch(Topic::Agenda);
    Ok(answers)
}

fn advance_one(
    write: &Write<'_>,
    tally: &mut Tally,
    advance: &Advance,
) -> Result<AdvanceAnswer, SqliteError> {
    let standing = catalog::find(write, &advance.id)?.map(|found| Standing {
        incarnation: found.incarnation,
        revision: found.revision,
        cursor: found.cursor.as_microsecond(),
    });
    if let Some(refused) = rule::refusal(advance, standing, write.now()) {
        return Ok(refused);
    }
    write
        .prepare_cached("UPDATE schedule SET cursor = ?2 WHERE id = ?1")?
        .execute((advance.id.as_str(), advance.to.as_microsecond()))?;
    let added = agenda::add(write, tally, &advance.fire)?;
    record_fired(write, advance, &added)?;
    record_skipped(write, advance)?;
    let new = added.iter().filter(|answer| matches!(answer, AddAnswer::Added(_))).count();
    Ok(AdvanceAnswer::Advanced(new as u64))
}

const INSERT: &str = "INSERT OR IGNORE INTO occurrence
    (schedule_id, planned_at, incarnation, until_at, instants, skipped, fired_at, task_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Those whose key another task held are merged into that one.
fn record_fired(write: &Write<'_>, advance: &Advance, added: &[AddAnswer]) -> Result<(), SqliteError> {
    let incarnation = i64::try_from(advance.incarnation).unwrap_or(i64::MAX);
    let mut insert = write.prepare_cached(INSERT)?;
    for (entry, answer) in advance.fire.iter().zip(added) {
        let Some(planned) = &entry.message.occurrence else { continue };
        let at = planned.planned_at.as_microsecond();
        let (reason, task) = match answer {
            AddAnswer::Taken { by, .. } => (Some(MERGED), by),
            AddAnswer::Added(_) | AddAnswer::Exists(_) => (None, &entry.message.id),
        };
        let task = task.0.as_bytes();
        insert.execute((advance.id.as_str(), at, incarnation, at, 1, reason, write.now(), task))?;
    }
    Ok(())
}

fn record_skipped(write: &Write<'_>, advance: &Advance) -> Result<(), SqliteError> {
    let incarnation = i64::try_from(advance.incarnation).unwrap_or(i64::MAX);
    let mut insert = write.prepare_cached(INSERT)?;
    for range in &advance.skipped {
        let reason = serde_json::to_string(&range.reason).map_err(|e| SqliteError::Invalid(e.to_string()))?;
        let (from, until) = (range.from.as_microsecond(), range.until.as_microsecond());
        let instants = i64::try_from(range.count).unwrap_or(i64::MAX);
        let nobody = None::<&[u8; 16]>;
        insert.execute((
            advance.id.as_str(),
            from,
            incarnation,
            until,
            instants,
            reason,
            write.now(),
            nobody,
        ))?;
    }
    Ok(())
}

/// Keeps what another ledger knew of a schedule's past.
pub(super) fn restore(write: &Write<'_>, schedule: &RestoredSchedule) -> Result<(), SqliteError> {
    let RestoredSchedule { record, occurrences } = schedule;
    let incarnation = i64::try_from(record.incarnation).unwrap_or(i64::MAX);
    let mut insert = write.prepare_cached(INSERT)?;
    for occurrence in occurrences {
        let (at, until, count, reason, fired_at, task) = match occurrence {
            OccurrenceRecord::Fired { planned_at, fired_at, task_id } => {
                let at = planned_at.as_microsecond();
                (at, at, 1, None, fired_at.as_microsecond(), Some(task_id.0.as_bytes()))
            }
            OccurrenceRecord::Merged { planned_at, merged_at, task_id } => {
                let (at, reason) = (planned_at.as_microsecond(), Some(MERGED.to_owned()));
                (at, at, 1, reason, merged_at.as_microsecond(), Some(task_id.0.as_bytes()))
            }
            OccurrenceRecord::Skipped(range) => {
                let reason = serde_json::to_string(&range.reason);
                let reason = reason.map_err(|e| SqliteError::Invalid(e.to_string()))?;
                let (from, until) = (range.from.as_microsecond(), range.until.as_microsecond());
                let count = i64::try_from(range.count).unwrap_or(i64::MAX);
                (from, until, count, Some(reason), write.now(), None)
            }
        };
        insert.execute((record.id.as_str(), at, incarnation, until, count, reason, fired_at, task))?;
    }
    Ok(())
}

/// What became of a schedule's instants, the newest first.
pub(super) fn list(
    read: &Connection,
    id: &ScheduleId,
    limit: usize,
) -> Result<Vec<OccurrenceRecord>, SqliteError> {
    let mut select = read.prepare_cached(
        "SELECT planned_at, until_at, instants, skipped, fired_at, task_id FROM occurrence WHERE schedule_id = ?1
         ORDER BY planned_at DESC LIMIT ?2",
    )?;
    let mut rows = select.query((id.as_str(), i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

fn record(row: &Row<'_>) -> Result<OccurrenceRecord, SqliteError> {
    let planned_at = instant(row.get(0)?);
    let task: Option<[u8; 16]> = row.get(5)?;
    let reason: Option<String> = row.get(3)?;
    if let Some(task) = task {
        let (task_id, at) = (TaskId(Uuid::from_bytes(task)), instant(row.get(4)?));
        return Ok(match reason {
            None => OccurrenceRecord::Fired { planned_at, fired_at: at, task_id },
            Some(_) => OccurrenceRecord::Merged { planned_at, merged_at: at, task_id },
        });
    }
    let reason = reason.and_then(|text| serde_json::from_str(&text).ok());
    Ok(OccurrenceRecord::Skipped(SkippedRange {
        from: planned_at,
        until: instant(row.get(1)?),
        count: row.get::<_, i64>(2)?.unsigned_abs(),
        // A reason that a newer program wrote.
        reason: reason.unwrap_or(SkipReason::Misfire),
    }))
}
