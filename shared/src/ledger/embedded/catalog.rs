//! Schedules and their cursors.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};

use super::row::{self, End, instant};
use super::tally::Tally;
use super::{EmbeddedLedger, occurrence};
use crate::ledger::{
    Advance, AdvanceAnswer, Catalog, CatalogSnapshot, Expect, LedgerError, NewSchedule, PutAnswer,
};
use crate::name::ScheduleId;
use crate::occurrence::{OccurrenceRecord, ScheduleRecord};
use crate::sqlite::{SqliteError, Topic, Write};
use crate::task::TaskState;

#[async_trait]
impl Catalog for EmbeddedLedger {
    async fn version(&self) -> Result<u64, LedgerError> {
        Ok(self.file.read(version).await?)
    }

    async fn snapshot(&self) -> Result<CatalogSnapshot, LedgerError> {
        Ok(self.file.read(snapshot).await?)
    }

    async fn get(&self, ids: Vec<ScheduleId>) -> Result<Vec<ScheduleRecord>, LedgerError> {
        let found = self.file.read(move |read| {
            let mut found = Vec::with_capacity(ids.len());
            for id in &ids {
                found.extend(find(read, id)?);
            }
            Ok(found)
        });
        Ok(found.await?)
    }

    async fn put(&self, schedule: NewSchedule, expect: Expect) -> Result<PutAnswer, LedgerError> {
        Ok(self.file.write(move |write| put(write, &schedule, expect)).await?)
    }

    async fn remove(&self, id: ScheduleId, revision: u64) -> Result<bool, LedgerError> {
        Ok(self.file.write(move |write| remove(write, &id, revision)).await?)
    }

    async fn advance(&self, advances: Vec<Advance>) -> Result<Vec<AdvanceAnswer>, LedgerError> {
        Ok(self.file.write(move |write| occurrence::advance(write, &advances)).await?)
    }

    async fn occurrences(&self, id: ScheduleId, limit: usize) -> Result<Vec<OccurrenceRecord>, LedgerError> {
        Ok(self.file.read(move |read| occurrence::list(read, &id, limit)).await?)
    }
}

fn version(read: &Connection) -> Result<u64, SqliteError> {
    Ok(number(read, "catalog_version")?.unwrap_or(0).unsigned_abs())
}

fn number(read: &Connection, name: &str) -> Result<Option<i64>, SqliteError> {
    let mut select = read.prepare_cached("SELECT value FROM number WHERE name = ?1")?;
    Ok(select.query_row([name], |row| row.get(0)).optional()?)
}

fn set_number(write: &Write<'_>, name: &str, value: i64) -> Result<(), SqliteError> {
    write
        .prepare_cached(
            "INSERT INTO number (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
        )?
        .execute((name, value))?;
    Ok(())
}

fn raise_version(write: &Write<'_>) -> Result<(), SqliteError> {
    let next = number(write, "catalog_version")?.unwrap_or(0) + 1;
    write.touch(Topic::Agenda);
    set_number(write, "catalog_version", next)
}

fn snapshot(read: &Connection) -> Result<CatalogSnapshot, SqliteError> {
    // One transaction, so that the version is that of the rows.
    let whole = read.unchecked_transaction()?;
    let version = version(&whole)?;
    let mut select = whole.prepare_cached(
        "SELECT id, incarnation, revision, definition, source, cursor, updated_at FROM schedule ORDER BY id",
    )?;
    let mut rows = select.query([])?;
    let mut schedules = Vec::new();
    while let Some(row) = rows.next()? {
        match record(row) {
            Ok(record) => schedules.push(record),
            // A definition that a newer program wrote must not take the others down with it.
            Err(error) => tracing::error!(%error, "a stored schedule cannot be read and does not fire here"),
        }
    }
    Ok(CatalogSnapshot { version, schedules })
}

/// Finds a schedule.
pub(super) fn find(read: &Connection, id: &ScheduleId) -> Result<Option<ScheduleRecord>, SqliteError> {
    let mut select = read.prepare_cached(
        "SELECT id, incarnation, revision, definition, source, cursor, updated_at FROM schedule WHERE id = ?1",
    )?;
    let mut rows = select.query([id.as_str()])?;
    rows.next()?.map(record).transpose()
}

fn record(row: &Row<'_>) -> Result<ScheduleRecord, SqliteError> {
    let id: String = row.get(0)?;
    let definition: String = row.get(3)?;
    let invalid = |error: String| SqliteError::Invalid(format!("the schedule {id}: {error}"));
    Ok(ScheduleRecord {
        id: ScheduleId::new(&id).map_err(|error| invalid(error.to_string()))?,
        incarnation: row.get::<_, i64>(1)?.unsigned_abs(),
        revision: row.get::<_, i64>(2)?.unsigned_abs(),
        definition: serde_json::from_str(&definition).map_err(|error| invalid(error.to_string()))?,
        source: row.get(4)?,
        cursor: instant(row.get(5)?),
        updated_at: instant(row.get(6)?),
    })
}

fn put(write: &Write<'_>, schedule: &NewSchedule, expect: Expect) -> Result<PutAnswer, SqliteError> {
    let found = find(write, &schedule.id)?;
    let id = schedule.id.as_str();
    let definition = serde_json::to_string(&schedule.definition)
        .map_err(|error| SqliteError::Invalid(error.to_string()))?;
    let now = write.now();
    match (found, expect) {
        (None, Expect::Absent) => {
            let incarnation = number(write, "incarnation")?.map_or(now, |last| now.max(last + 1));
            set_number(write, "incarnation", incarnation)?;
            write
                .prepare_cached(
                    "INSERT INTO schedule (id, incarnation, revision, definition, source, cursor, updated_at)
                     VALUES (?1, ?2, 1, ?3, ?4, ?5, ?5)",
                )?
                .execute((id, incarnation, definition, &schedule.source, now))?;
        }
        (Some(found), Expect::Revision(revision)) if found.revision == revision => {
            write
                .prepare_cached(
                    "UPDATE schedule SET revision = revision + 1, definition = ?2, source = ?3, updated_at = ?4
                     WHERE id = ?1",
                )?
                .execute((id, definition, &schedule.source, now))?;
        }
        _ => return Ok(PutAnswer::Conflict),
    }
    raise_version(write)?;
    let stored = find(write, &schedule.id)?;
    let stored = stored.ok_or_else(|| SqliteError::Invalid("a schedule just stored is gone".into()))?;
    Ok(PutAnswer::Stored(Box::new(stored)))
}

fn remove(write: &Write<'_>, id: &ScheduleId, revision: u64) -> Result<bool, SqliteError> {
    let removed = write
        .prepare_cached("DELETE FROM schedule WHERE id = ?1 AND revision = ?2")?
        .execute((id.as_str(), i64::try_from(revision).unwrap_or(i64::MAX)))?;
    if removed == 0 {
        return Ok(false);
    }
    raise_version(write)?;
    let mut tally = Tally::default();
    for row in row::scheduled_of(write, id)? {
        let end = End { note: Some("its schedule was deleted"), ..row.end_as(TaskState::Cancelled) };
        row::end(write, &mut tally, &row, &end)?;
    }
    tally.write(write)?;
    Ok(true)
}

/// Makes a schedule as it stood in another ledger; answers whether it did, for there may be one of this id.
pub(super) fn restore(write: &Write<'_>, schedule: &ScheduleRecord) -> Result<bool, SqliteError> {
    if find(write, &schedule.id)?.is_some() {
        return Ok(false);
    }
    let definition = serde_json::to_string(&schedule.definition)
        .map_err(|error| SqliteError::Invalid(error.to_string()))?;
    let counted = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let incarnation = counted(schedule.incarnation);
    write
        .prepare_cached(
            "INSERT INTO schedule (id, incarnation, revision, definition, source, cursor, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            schedule.id.as_str(),
            incarnation,
            counted(schedule.revision),
            definition,
            &schedule.source,
            schedule.cursor.as_microsecond(),
            schedule.updated_at.as_microsecond(),
        ))?;
    // The next one that is made must not get the same.
    let last = number(write, "incarnation")?.map_or(incarnation, |last| last.max(incarnation));
    set_number(write, "incarnation", last)?;
    raise_version(write)?;
    Ok(true)
}
