//! Schedules and their definitions.

use tokio_postgres::Row;

use super::change::Changes;
use super::error::Fault;
use super::row::{self, bigint, instant, text};
use super::session::{Session, Work};
use crate::ledger::{CatalogSnapshot, Expect, LedgerError, NewSchedule, PutAnswer};
use crate::name::ScheduleId;
use crate::occurrence::ScheduleRecord;
use crate::task::TaskState;

/// The columns that [`record`] reads.
pub(super) const COLUMNS: &str =
    "s.id, s.incarnation, s.revision, s.definition, s.source, s.cursor, s.updated_at";

const VERSION: &str = "coalesce((select value from number where name = 'catalog_version'), 0)";

/// The catalog's version.
pub(super) struct Version;

impl Work for Version {
    const CALL: &'static str = "version";
    type Answer = u64;

    async fn run(&self, session: &mut Session) -> Result<u64, Fault> {
        let row = session.query_one(&format!("select {VERSION}"), &[]).await?;
        Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
    }
}

/// Every schedule, and the version of exactly these.
pub(super) struct Snapshot;

impl Work for Snapshot {
    const CALL: &'static str = "snapshot";
    type Answer = CatalogSnapshot;

    async fn run(&self, session: &mut Session) -> Result<CatalogSnapshot, Fault> {
        let sql = format!(
            "select v.version, {COLUMNS} from (select {VERSION} as version) v left join schedule s on true order by s.id collate \"C\""
        );
        let rows = session.query(&sql, &[]).await?;
        let version = rows.first().map_or(Ok(0), |row| row.try_get::<_, i64>("version"))?.unsigned_abs();
        let mut schedules = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.try_get::<_, Option<&str>>("id")?.is_none() {
                continue;
            }
            match record(row) {
                Ok(record) => schedules.push(record),
                // A definition that a newer program wrote must not take the others down with it.
                Err(error) => {
                    let error = LedgerError::from(error);
                    tracing::error!(%error, "a stored schedule cannot be read and does not fire here");
                }
            }
        }
        Ok(CatalogSnapshot { version, schedules })
    }
}

/// Some schedules.
pub(super) struct GetSchedules<'a>(pub(super) &'a [ScheduleId]);

impl Work for GetSchedules<'_> {
    const CALL: &'static str = "schedules";
    type Answer = Vec<ScheduleRecord>;

    async fn run(&self, session: &mut Session) -> Result<Vec<ScheduleRecord>, Fault> {
        let ids: Vec<&str> = self.0.iter().map(ScheduleId::as_str).collect();
        let sql = format!(
            "select {COLUMNS} from unnest($1::text[]) with ordinality as i (id, ord) join schedule s on s.id = i.id
             order by i.ord"
        );
        session.query(&sql, &[&ids]).await?.iter().map(record).collect()
    }
}

/// Reads a schedule.
pub(super) fn record(row: &Row) -> Result<ScheduleRecord, Fault> {
    let id: &str = row.try_get("id")?;
    let invalid = |error: &dyn std::fmt::Display| Fault::Invalid(format!("the schedule {id}: {error}"));
    Ok(ScheduleRecord {
        id: ScheduleId::new(id).map_err(|error| invalid(&error))?,
        incarnation: row.try_get::<_, i64>("incarnation")?.unsigned_abs(),
        revision: row.try_get::<_, i64>("revision")?.unsigned_abs(),
        definition: serde_json::from_str(row.try_get("definition")?).map_err(|error| invalid(&error))?,
        source: row.try_get("source")?,
        cursor: instant(row.try_get("cursor")?),
        updated_at: instant(row.try_get("updated_at")?),
    })
}

/// Raises the catalog's version. The first step of every change: others wait here until this one is done.
pub(super) async fn raise_version(session: &Session) -> Result<(), Fault> {
    let sql = "insert into number (name, value) values ('catalog_version', 1)
        on conflict (name) do update set value = number.value + 1";
    session.execute(sql, &[]).await?;
    Ok(())
}

/// Stores a definition.
pub(super) struct Put<'a> {
    pub(super) schedule: &'a NewSchedule,
    pub(super) expect: Expect,
}

impl Work for Put<'_> {
    const CALL: &'static str = "put";
    type Answer = PutAnswer;

    async fn run(&self, session: &mut Session) -> Result<PutAnswer, Fault> {
        session.begin().await?;
        raise_version(session).await?;
        let stored = match self.expect {
            Expect::Absent => self.insert(session).await?,
            Expect::Revision(revision) => self.update(session, revision).await?,
        };
        let Some(stored) = stored else {
            session.rollback().await?;
            return Ok(PutAnswer::Conflict);
        };
        session.commit().await?;
        Ok(PutAnswer::Stored(Box::new(stored)))
    }
}

impl Put<'_> {
    fn definition(&self) -> Result<String, Fault> {
        serde_json::to_string(&self.schedule.definition).map_err(|error| Fault::Invalid(error.to_string()))
    }

    async fn insert(&self, session: &Session) -> Result<Option<ScheduleRecord>, Fault> {
        let NewSchedule { id, source, .. } = self.schedule;
        // Above every incarnation before, though the store's clock may have been set back.
        let incarnation = "insert into number (name, value) values ('incarnation', now_us())
            on conflict (name) do update set value = greatest(number.value + 1, excluded.value) returning value";
        let incarnation: i64 = session.query_one(incarnation, &[]).await?.try_get(0)?;
        let sql = format!(
            "insert into schedule as s (id, incarnation, revision, definition, source, cursor, updated_at)
             select $1, $2, 1, $3, $4, n.now, n.now from (select now_us() as now offset 0) n
             on conflict (id) do nothing returning {COLUMNS}"
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&id.as_str(), &incarnation, &self.definition()?, &text(source)];
        session.query(&sql, &params).await?.first().map(record).transpose()
    }

    async fn update(&self, session: &Session, revision: u64) -> Result<Option<ScheduleRecord>, Fault> {
        let NewSchedule { id, source, .. } = self.schedule;
        let sql = format!(
            "update schedule s set revision = s.revision + 1, definition = $3, source = $4, updated_at = now_us()
             where s.id = $1 and s.revision = $2 returning {COLUMNS}"
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&id.as_str(), &bigint(revision), &self.definition()?, &text(source)];
        session.query(&sql, &params).await?.first().map(record).transpose()
    }
}

/// Removes a schedule, and cancels its occurrences that are not yet queued.
pub(super) struct Remove<'a> {
    pub(super) id: &'a ScheduleId,
    pub(super) revision: u64,
}

impl Work for Remove<'_> {
    const CALL: &'static str = "remove";
    type Answer = bool;

    async fn run(&self, session: &mut Session) -> Result<bool, Fault> {
        session.begin().await?;
        raise_version(session).await?;
        let sql = "delete from schedule where id = $1 and revision = $2";
        if session.execute(sql, &[&self.id.as_str(), &bigint(self.revision)]).await? == 0 {
            session.rollback().await?;
            return Ok(false);
        }
        let waiting =
            "t.schedule_id = $1 and t.schedule_id is not null and t.state = 0 and t.wake_at is not null";
        let sql = [row::SELECT, waiting, row::LOCK].concat();
        let mut changes = Changes::default();
        for row in session.query(&sql, &[&self.id.as_str()]).await? {
            let row = row::brief(&row)?;
            changes.push(&row, &row.end_as(TaskState::Cancelled, "its schedule was deleted"))?;
        }
        changes.write(session).await?;
        session.commit().await?;
        Ok(true)
    }
}
