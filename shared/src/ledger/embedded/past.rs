//! The story of a task's past runs, beside its details.

use rusqlite::OptionalExtension;

use super::row::Brief;
use crate::ledger::past::Ended;
use crate::run::PastRuns;
use crate::sqlite::{SqliteError, Write};

/// Adds the run that a row tells of, which ends now. Before the row is changed.
pub(super) fn add(write: &Write<'_>, row: &Brief, ended: &Ended<'_>) -> Result<(), SqliteError> {
    let mut select = write.prepare_cached(
        "SELECT t.started_at, m.name, d.runs FROM task t JOIN detail d ON d.task = t.row
            LEFT JOIN member m ON m.owner = t.owner WHERE t.row = ?1",
    )?;
    let found: Option<(Option<i64>, Option<String>, Option<String>)> =
        select.query_row([row.row], |found| Ok((found.get(0)?, found.get(1)?, found.get(2)?))).optional()?;
    let Some((started_at, worker, runs)) = found else { return Ok(()) };
    let mut runs = read(runs)?;
    runs.push(ended.past(started_at.unwrap_or(write.now()), write.now(), worker));
    keep(write, row.row, &runs)
}

/// As another ledger told them.
pub(super) fn restore(write: &Write<'_>, row: i64, runs: &PastRuns) -> Result<(), SqliteError> {
    if runs.is_empty() { Ok(()) } else { keep(write, row, runs) }
}

fn keep(write: &Write<'_>, row: i64, runs: &PastRuns) -> Result<(), SqliteError> {
    let runs = serde_json::to_string(runs).map_err(|error| SqliteError::Invalid(error.to_string()))?;
    write.prepare_cached("UPDATE detail SET runs = ?2 WHERE task = ?1")?.execute((row, runs))?;
    Ok(())
}

/// As kept.
pub(super) fn read(runs: Option<String>) -> Result<PastRuns, SqliteError> {
    let runs = runs.map(|runs| serde_json::from_str(&runs)).transpose();
    Ok(runs.map_err(|error| SqliteError::Invalid(error.to_string()))?.unwrap_or_default())
}
