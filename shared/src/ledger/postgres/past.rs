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

/// Of a new row, as another ledger told them.
pub(super) async fn restore(session: &Session, record: &TaskRecord) -> Result<(), Fault> {
    let PastRuns { count, kept } = &record.past;
    let kept: Result<Vec<String>, _> =
        kept.iter().map(|run| serde_json::to_string(run).map(|json| text(&json))).collect();
    let kept = kept.map_err(|error| Fault::Invalid(error.to_string()))?;
    let sql = "insert into run (task, ended, kept) select t.row, $2, $3 from task t where t.id = $1";
    session.execute(sql, &[&record.id().0, &int(*count), &kept]).await.map(drop)
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
