//! The story of tasks' past runs, where it is told from here: settles tell theirs by themselves.

use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Fault;
use super::row::{Brief, int, text};
use super::session::Session;
use crate::run::{PastRun, PastRuns, RunEnd};
use crate::task::TaskRecord;

/// Runs that end now, as columns.
#[derive(Debug, Default)]
pub(super) struct Story {
    ids: Vec<Uuid>,
    ends: Vec<&'static str>,
    notes: Vec<Option<String>>,
    errors: Vec<Option<String>>,
}

impl Story {
    /// Adds the run that a locked row tells of.
    pub(super) fn push(&mut self, row: &Brief, end: RunEnd, note: Option<&str>) {
        self.ids.push(row.id.0);
        self.ends.push(end.as_str());
        self.notes.push(note.map(text));
        self.errors.push(None);
    }

    /// Writes them. Before the rows are claimed anew.
    pub(super) async fn write(self, session: &Session) -> Result<(), Fault> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let sql = "select keep_runs_1($1, $2, $3, $4)";
        session.query(sql, &[&self.ids, &self.ends, &self.notes, &self.errors]).await.map(drop)
    }
}

/// Of new rows, as another ledger told them.
pub(super) async fn restore(session: &Session, records: &[&TaskRecord]) -> Result<(), Fault> {
    let told = || records.iter().filter(|record| !record.past.is_empty());
    let ids: Vec<Uuid> = told().map(|record| record.id().0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let counts: Vec<i32> = told().map(|record| int(record.past.count)).collect();
    // A list of texts, each of which is a run as it is kept.
    let kept = told().map(|record| {
        let runs: Result<Vec<String>, _> = record.past.kept.iter().map(serde_json::to_string).collect();
        runs.and_then(|runs| serde_json::to_string(&runs))
    });
    let kept: Vec<String> =
        kept.collect::<Result<_, _>>().map_err(|error| Fault::Invalid(error.to_string()))?;
    let sql = "insert into run (task, ended, kept)
        select t.row, i.ended, array(select json_array_elements_text(i.kept::json))
        from unnest($1::uuid[], $2::integer[], $3::text[]) as i (id, ended, kept) join task t on t.id = i.id
        where t.id = any ($1)";
    session.execute(sql, &[&ids, &counts, &kept]).await.map(drop)
}

/// Reads what a record's row has of them.
pub(super) fn read(row: &Row) -> Result<PastRuns, Fault> {
    let (count, kept): (Option<i32>, Option<Vec<&str>>) = (row.try_get("ended")?, row.try_get("kept")?);
    let kept = kept.unwrap_or_default().into_iter().map(serde_json::from_str::<PastRun>);
    let kept = kept.collect::<Result<_, _>>();
    Ok(PastRuns {
        count: count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        kept: kept.map_err(|error| Fault::Invalid(format!("a past run cannot be read: {error}")))?,
    })
}
