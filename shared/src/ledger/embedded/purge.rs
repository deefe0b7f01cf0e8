//! Removing what retention no longer keeps, in small batches.

use std::time::Duration;

use super::details;
use super::limit;
use super::row::{duration_micros, state_number};
use super::tally::Tally;
use super::unique;
use crate::ledger::rule::{DROPPED_BY_RETENTION, MEMBERS};
use crate::ledger::{PurgeReport, Retention};
use crate::sqlite::{SqliteError, Write};
use crate::task::TaskState;

pub(super) fn purge(
    write: &Write<'_>,
    retention: &Retention,
    limit: usize,
) -> Result<PurgeReport, SqliteError> {
    limit::mend(write)?;
    let before = |age: Duration| write.now().saturating_sub(duration_micros(age));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let dead = retention.dead.map(|age| drop_dead(write, before(age), limit)).transpose()?;
    let ids = purge_ids(write, before(retention.ids), limit)?;
    let (details, more) = details::purge(write, retention, limit)?;
    let occurrences = write
        .prepare_cached(
            "DELETE FROM occurrence WHERE (schedule_id, planned_at, incarnation) IN
             (SELECT schedule_id, planned_at, incarnation FROM occurrence WHERE until_at < ?1 LIMIT ?2)",
        )?
        .execute((before(retention.occurrences), limit))?;
    write
        .prepare_cached("DELETE FROM member WHERE retired != 0 AND seen_at < ?1")?
        .execute([before(MEMBERS)])?;
    let windows = unique::purge(write, limit)?;
    Ok(PurgeReport { details, ids, occurrences: occurrences as u64, windows, dead: dead.unwrap_or(0), more })
}

/// Drops tasks that died before an instant, the first recorded first.
fn drop_dead(write: &Write<'_>, before: i64, limit: i64) -> Result<u64, SqliteError> {
    let mut tally = Tally::default();
    // By state, of which there are few: those that ended long ago may be many.
    let mut select = write.prepare_cached(
        "SELECT row, queue FROM task WHERE state >= 5 AND state = 5 AND +finished_at < ?1 ORDER BY row LIMIT ?2",
    )?;
    let mut rows = select.query((before, limit))?;
    let (dead, cancelled) = (state_number(TaskState::Dead), state_number(TaskState::Cancelled));
    let mut dropped: Vec<i64> = Vec::new();
    while let Some(row) = rows.next()? {
        dropped.push(row.get(0)?);
        tally.step(&row.get::<_, String>(1)?, dead, cancelled);
    }
    let mut update = write.prepare_cached("UPDATE task SET state = ?2, note = ?3 WHERE row = ?1")?;
    let mut forget = write.prepare_cached("DELETE FROM detail WHERE task = ?1")?;
    for row in &dropped {
        update.execute((row, cancelled, DROPPED_BY_RETENTION))?;
        forget.execute([row])?;
    }
    tally.write(write)?;
    Ok(dropped.len() as u64)
}

fn purge_ids(write: &Write<'_>, before: i64, limit: i64) -> Result<u64, SqliteError> {
    let mut tally = Tally::default();
    let mut delete = write.prepare_cached(
        "DELETE FROM task WHERE row IN
         (SELECT row FROM task WHERE finished_at IS NOT NULL AND finished_at < ?1 AND state != 5 LIMIT ?2)
         RETURNING row, queue, state",
    )?;
    let mut rows = delete.query((before, limit))?;
    let mut gone: Vec<i64> = Vec::new();
    while let Some(row) = rows.next()? {
        gone.push(row.get(0)?);
        tally.leave(&row.get::<_, String>(1)?, row.get(2)?);
    }
    drop(rows);
    let mut details = write.prepare_cached("DELETE FROM detail WHERE task = ?1")?;
    for row in &gone {
        details.execute([row])?;
    }
    tally.write(write)?;
    Ok(gone.len() as u64)
}
