//! Unique keys: who holds them, how they are taken and freed.

use rusqlite::Connection;
use uuid::Uuid;

use super::row::{self, Brief, End, duration_micros, instant, state_of};
use super::tally::Tally;
use crate::id::{KeyId, TaskId};
use crate::ledger::{AddAnswer, KeyWindow, unique};
use crate::message::Message;
use crate::sqlite::{SqliteError, Write};
use crate::task::TaskState;
use crate::unique::Until;

type Key = [u8; 16];

/// Takes the key of a task that is about to be made, if it has one; answers who has it, where that one stays.
pub(super) fn take(
    write: &Write<'_>,
    tally: &mut Tally,
    message: &Message,
) -> Result<Option<AddAnswer>, SqliteError> {
    let (Some(key), Some(wanted)) = (message.unique_key(), &message.unique) else { return Ok(None) };
    let key = *key.0.as_bytes();
    if let Some((by, state)) = holder(write, key)? {
        if !unique::gives_way(state, wanted.on_taken) {
            return Ok(Some(AddAnswer::Taken { by, state }));
        }
        let row = row::find(write, by)?;
        let row = row.ok_or_else(|| SqliteError::Invalid("a row just seen is gone".into()))?;
        let note = unique::replaced_note(message.id);
        row::end(write, tally, &row, &End { note: Some(&note), ..row.end_as(TaskState::Cancelled) })?;
    }
    let until = match wanted.until {
        Until::Finished => None,
        Until::Window(window) => Some(write.now().saturating_add(duration_micros(window))),
    };
    hold(write, key, message.id.0.as_bytes(), until)?;
    Ok(None)
}

/// Writes on a row that was just made which key it holds until it has ended.
pub(super) fn write_key(write: &Write<'_>, row: i64, message: &Message) -> Result<(), SqliteError> {
    let key = message.unique_key().filter(|_| message.unique.as_ref().is_some_and(is_until_finished));
    if let Some(key) = key {
        write
            .prepare_cached("UPDATE task SET unique_key = ?2 WHERE row = ?1")?
            .execute((row, key.0.as_bytes()))?;
    }
    Ok(())
}

fn is_until_finished(unique: &crate::unique::Unique) -> bool {
    unique.until == Until::Finished
}

/// Takes the key of a task that is to run again, if it held one until it ended; answers who has it meanwhile.
pub(super) fn take_again(write: &Write<'_>, id: TaskId, row: &Brief) -> Result<Option<TaskId>, SqliteError> {
    let Some(key) = row.unique_key else { return Ok(None) };
    if let Some((by, _)) = holder(write, key)? {
        return Ok(Some(by));
    }
    hold(write, key, id.0.as_bytes(), None)?;
    Ok(None)
}

/// Takes the key of a task that comes from another ledger, unless somebody has it.
pub(super) fn take_if_free(write: &Write<'_>, key: KeyId, id: TaskId) -> Result<(), SqliteError> {
    let key = *key.0.as_bytes();
    if holder(write, key)?.is_none() {
        hold(write, key, id.0.as_bytes(), None)?;
    }
    Ok(())
}

/// Windows that are not over, those that are over soonest first, behind this one.
pub(super) fn windows(
    read: &Connection,
    now: i64,
    after: Option<KeyWindow>,
    limit: usize,
) -> Result<Vec<KeyWindow>, SqliteError> {
    let mut select = read.prepare_cached(
        "SELECT key, task_id, until_at FROM unique_hold
         WHERE until_at IS NOT NULL AND until_at >= ?1 AND (until_at > ?1 OR key > ?2)
         ORDER BY until_at, key LIMIT ?3",
    )?;
    // The largest key: what is over now is behind nothing.
    let (from, key) =
        after.map_or((now, [u8::MAX; 16]), |last| (last.until.as_microsecond(), *last.key.0.as_bytes()));
    let rows = select.query_map((from, key, i64::try_from(limit).unwrap_or(i64::MAX)), |row| {
        let (key, task) = (Uuid::from_bytes(row.get(0)?), Uuid::from_bytes(row.get(1)?));
        Ok(KeyWindow { key: KeyId(key), task: TaskId(task), until: instant(row.get(2)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Holds a key as another ledger did, unless somebody has it or its time is over; answers whether it does.
pub(super) fn restore_window(write: &Write<'_>, window: &KeyWindow) -> Result<bool, SqliteError> {
    let (key, until) = (*window.key.0.as_bytes(), window.until.as_microsecond());
    let is_free = until > write.now() && holder(write, key)?.is_none();
    if is_free {
        hold(write, key, window.task.0.as_bytes(), Some(until))?;
    }
    Ok(is_free)
}

/// A task has ended: its key is free, if it still holds it.
pub(super) fn free(write: &Write<'_>, key: Key, row: i64) -> Result<(), SqliteError> {
    write
        .prepare_cached(
            "DELETE FROM unique_hold
             WHERE key = ?1 AND until_at IS NULL AND task_id = (SELECT id FROM task WHERE row = ?2)",
        )?
        .execute((key, row))?;
    Ok(())
}

/// Forgets windows that are over, at most so many; answers how many.
pub(super) fn purge(write: &Write<'_>, limit: i64) -> Result<u64, SqliteError> {
    let gone = write
        .prepare_cached(
            "DELETE FROM unique_hold WHERE key IN
             (SELECT key FROM unique_hold WHERE until_at IS NOT NULL AND until_at <= ?1 LIMIT ?2)",
        )?
        .execute((write.now(), limit))?;
    Ok(gone as u64)
}

/// The task that holds a key, and its state. One that is forgotten had ended.
fn holder(write: &Write<'_>, key: Key) -> Result<Option<(TaskId, TaskState)>, SqliteError> {
    let mut select = write.prepare_cached(
        "SELECT h.task_id, t.state FROM unique_hold h LEFT JOIN task t ON t.id = h.task_id
         WHERE h.key = ?1 AND (h.until_at IS NULL OR h.until_at > ?2)",
    )?;
    let mut rows = select.query((key, write.now()))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let state: Option<i64> = row.get(1)?;
    let state = state.map_or(Ok(TaskState::Succeeded), state_of)?;
    Ok(Some((TaskId(Uuid::from_bytes(row.get(0)?)), state)))
}

/// A window that is over gives way.
fn hold(write: &Write<'_>, key: Key, task: &Key, until: Option<i64>) -> Result<(), SqliteError> {
    write
        .prepare_cached("INSERT OR REPLACE INTO unique_hold (key, task_id, until_at) VALUES (?1, ?2, ?3)")?
        .execute((key, task, until))?;
    Ok(())
}
