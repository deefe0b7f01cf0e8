//! Removing the details of tasks that ended long enough ago, each state after its own time.
//!
//! Goes along the tasks in the order they ended, and remembers for each state how far it came. States that are kept equally long go
//! together: usually all of them.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::row::{duration_micros, state_number};
use crate::ledger::Retention;
use crate::sqlite::{SqliteError, Write};
use crate::task::TaskState;

/// So many rows are looked at for each that may go: others that ended meanwhile may be many.
const LOOKS: i64 = 20;

/// The states whose details have a time.
const STATES: [TaskState; 3] = [TaskState::Succeeded, TaskState::Cancelled, TaskState::Expired];

/// Removes at most `limit` details; answers how many, and whether there may be more.
pub(super) fn purge(
    write: &Write<'_>,
    retention: &Retention,
    limit: i64,
) -> Result<(u64, bool), SqliteError> {
    let mut groups: Vec<(Duration, Vec<i64>)> = Vec::new();
    for state in STATES {
        let Some(age) = retention.details_of(state) else { continue };
        match groups.iter_mut().find(|(other, _)| *other == age) {
            Some((_, states)) => states.push(state_number(state)),
            None => groups.push((age, vec![state_number(state)])),
        }
    }
    let (mut purged, mut more) = (0, false);
    for (age, states) in groups {
        let left = limit.saturating_sub(i64::try_from(purged).unwrap_or(i64::MAX));
        if left <= 0 {
            return Ok((purged, true));
        }
        let before = write.now().saturating_sub(duration_micros(age));
        let (some, is_full) = along(write, &states, before, left)?;
        purged += some;
        more |= is_full;
    }
    Ok((purged, more))
}

/// Goes on along those that ended in these states before an instant.
fn along(write: &Write<'_>, states: &[i64], before: i64, limit: i64) -> Result<(u64, bool), SqliteError> {
    let listed: Vec<String> = states.iter().map(ToString::to_string).collect();
    let mut select = write.prepare_cached(&format!(
        "SELECT row, finished_at, state IN ({}) AND EXISTS (SELECT 1 FROM detail WHERE detail.task = task.row)
         FROM task WHERE finished_at >= ?1 AND finished_at < ?2 ORDER BY finished_at LIMIT ?3",
        listed.join(", ")
    ))?;
    let mut delete = write.prepare_cached("DELETE FROM detail WHERE task = ?1")?;
    let looks = limit.saturating_mul(LOOKS);
    let from = reached(write, states)?;
    let mut rows = select.query((from, before, looks))?;
    let (mut looked, mut purged, mut last) = (0, 0, from);
    while purged < limit.unsigned_abs() {
        let Some(row) = rows.next()? else { break };
        looked += 1;
        last = row.get(1)?;
        if row.get(2)? {
            purged += delete.execute([row.get::<_, i64>(0)?])? as u64;
        }
    }
    let is_full = purged >= limit.unsigned_abs() || looked >= looks;
    // Others may have ended in the instant that was reached: only a look that found less than it might is past it. One that saw
    // nothing but that instant goes past it all the same, or it would never end.
    let next = match is_full {
        false => before,
        true if purged == 0 && last == from => last + 1,
        true => last,
    };
    remember(write, states, next)?;
    Ok((purged, is_full))
}

/// How far all of these states were purged.
fn reached(write: &Write<'_>, states: &[i64]) -> Result<i64, SqliteError> {
    let mut select = write.prepare_cached("SELECT value FROM number WHERE name = ?1")?;
    let mut number = |name: &str| select.query_row([name], |row| row.get::<_, i64>(0)).optional();
    // Where no state had a time of its own yet, there is one number for all.
    let all = number("details_purged")?.unwrap_or(i64::MIN);
    let mut least = i64::MAX;
    for state in states {
        least = least.min(number(&name(*state))?.unwrap_or(all));
    }
    Ok(least)
}

fn remember(write: &Write<'_>, states: &[i64], reached: i64) -> Result<(), SqliteError> {
    let mut insert = write.prepare_cached(
        "INSERT INTO number (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?;
    for state in states {
        insert.execute((name(*state), reached))?;
    }
    Ok(())
}

fn name(state: i64) -> String {
    format!("details_purged_{state}")
}
