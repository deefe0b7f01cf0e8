//! Rows of `task` and `detail`: how values are kept, how a row is found, made and read.

use jiff::Timestamp;
use rusqlite::{Row, Rows};
use uuid::Uuid;

use super::limit;
use super::past;
use super::tally::Tally;
use super::unique;
use crate::id::{Fence, OwnerId, Seq, TaskId};
pub(super) use crate::ledger::stored::{duration_micros, instant};
use crate::ledger::{rule, stored};
use crate::message::{Message, Payload, Priority};
use crate::name::{QueueName, TaskName};
use crate::sqlite::{SqliteError, Topic, Write};
use crate::task::{TaskRecord, TaskState};
use crate::verdict::RunError;

/// As the columns keep it.
pub(super) fn state_number(state: TaskState) -> i64 {
    i64::from(stored::state_number(state))
}

/// The other way round.
pub(super) fn state_of(number: i64) -> Result<TaskState, SqliteError> {
    stored::state_of(number).map_err(SqliteError::Invalid)
}

/// What every transition needs to know of a row.
#[derive(Debug)]
pub(super) struct Brief {
    pub(super) row: i64,
    pub(super) queue: String,
    pub(super) priority: i64,
    pub(super) state: TaskState,
    pub(super) seq: i64,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) fence: Option<i64>,
    pub(super) token: Option<i64>,
    pub(super) owner: Option<[u8; 16]>,
    pub(super) cancel: bool,
    pub(super) enqueued_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
    pub(super) parks: u32,
    pub(super) parked_at: Option<i64>,
    pub(super) due_at: Option<i64>,
    pub(super) unique_key: Option<[u8; 16]>,
    /// It has, or waits for, something of a limit.
    pub(super) limited: bool,
}

/// Selects what [`brief`] reads, and more columns behind it. A literal, so that whole statements are literals too.
macro_rules! select_brief {
    ($rest:literal) => {
        select_brief!("", $rest)
    };
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT t.row, t.queue, t.priority, t.state, t.seq, t.attempts, t.crashes, t.fence, t.token, t.owner, t.cancel,
                t.enqueued_at, t.expires_at, t.parks, t.parked_at, t.due_at, t.unique_key,
                t.limited",
            $more,
            " FROM task t ",
            $rest
        )
    };
}
pub(super) use select_brief;

/// The first column behind those of [`brief`].
pub(super) const BEHIND_BRIEF: usize = 18;

/// Reads a row that [`select_brief`] selected.
pub(super) fn brief(row: &Row<'_>) -> Result<Brief, SqliteError> {
    Ok(Brief {
        row: row.get(0)?,
        queue: row.get(1)?,
        priority: row.get(2)?,
        state: state_of(row.get(3)?)?,
        seq: row.get(4)?,
        attempts: row.get(5)?,
        crashes: row.get(6)?,
        fence: row.get(7)?,
        token: row.get(8)?,
        owner: row.get(9)?,
        cancel: row.get(10)?,
        enqueued_at: row.get(11)?,
        expires_at: row.get(12)?,
        parks: row.get(13)?,
        parked_at: row.get(14)?,
        due_at: row.get(15)?,
        unique_key: row.get(16)?,
        limited: row.get::<_, Option<bool>>(17)?.unwrap_or(false),
    })
}

/// Reads every row of a query.
fn briefs(mut rows: Rows<'_>) -> Result<Vec<Brief>, SqliteError> {
    let mut briefs = Vec::new();
    while let Some(row) = rows.next()? {
        briefs.push(brief(row)?);
    }
    Ok(briefs)
}

/// Finds a row by its task's id.
pub(super) fn find(write: &Write<'_>, id: TaskId) -> Result<Option<Brief>, SqliteError> {
    let mut select = write.prepare_cached(select_brief!("WHERE id = ?1"))?;
    let mut rows = select.query([id.0.as_bytes()])?;
    rows.next()?.map(brief).transpose()
}

/// Every row running in an owner's name.
pub(super) fn running_of(write: &Write<'_>, owner: [u8; 16]) -> Result<Vec<Brief>, SqliteError> {
    let mut select = write.prepare_cached(select_brief!("WHERE owner = ?1 AND state = 2 ORDER BY id"))?;
    briefs(select.query([owner])?)
}

/// A row to be made.
pub(super) struct New<'a> {
    pub(super) message: &'a Message,
    pub(super) state: TaskState,
    pub(super) seq: Seq,
    pub(super) due_at: i64,
    pub(super) wake_at: Option<i64>,
    pub(super) note: Option<&'a str>,
}

/// Makes a row with its details; answers its number.
pub(super) fn insert(write: &Write<'_>, tally: &mut Tally, new: &New<'_>) -> Result<i64, SqliteError> {
    let message = new.message;
    let state = state_number(new.state);
    let tags = rule::joined_tags(&message.tags);
    write
        .prepare_cached(
            "INSERT INTO task (id, name, queue, priority, state, seq, attempts, crashes, wake_at, due_at,
                recorded_at, expires_at, schedule_id, tags, note, finished_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(rusqlite::params![
            message.id.0.as_bytes(),
            message.name.as_str(),
            message.queue.as_str(),
            message.priority.get(),
            state,
            new.seq.0,
            message.attempts,
            message.crashes,
            new.wake_at,
            new.due_at,
            write.now(),
            message.must_start_by().map(Timestamp::as_microsecond),
            message.occurrence.as_ref().map(|planned| planned.schedule_id.as_str()),
            tags,
            new.note,
            new.state.is_terminal().then(|| write.now()),
        ])?;
    let row = write.last_insert_rowid();
    let encoded = rmp_serde::to_vec(message).map_err(|error| SqliteError::Invalid(error.to_string()))?;
    write.prepare_cached("INSERT INTO detail (task, message) VALUES (?1, ?2)")?.execute((row, encoded))?;
    tally.enter(message.queue.as_str(), state);
    if new.state.is_terminal() {
        write.touch(Topic::Ended);
    }
    Ok(row)
}

/// How a row ends.
pub(super) struct End<'a> {
    pub(super) state: TaskState,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) error: Option<&'a RunError>,
    pub(super) result: Option<&'a Payload>,
    pub(super) note: Option<&'a str>,
    /// Whether the claim's token stays, so that the same settle repeated is recognised.
    pub(super) keep_token: bool,
}

impl Brief {
    /// An end that changes no count and says nothing. The claim's token goes: only its own settle leaves it.
    pub(super) fn end_as<'a>(&self, state: TaskState) -> End<'a> {
        End {
            state,
            attempts: self.attempts,
            crashes: self.crashes,
            error: None,
            result: None,
            note: None,
            keep_token: false,
        }
    }

    /// A move to this instant, in microseconds, that changes no count and says nothing. The claim's token goes.
    pub(super) fn move_to<'a>(&self, due_at: i64) -> Move<'a> {
        Move {
            seq: self.seq + 1,
            attempts: self.attempts,
            crashes: self.crashes,
            due_at,
            error: None,
            note: None,
            keep_token: false,
        }
    }
}

/// Makes a row terminal.
pub(super) fn end(
    write: &Write<'_>,
    tally: &mut Tally,
    row: &Brief,
    end: &End<'_>,
) -> Result<(), SqliteError> {
    let state = state_number(end.state);
    write
        .prepare_cached(
            "UPDATE task SET state = ?2, attempts = ?3, crashes = ?4, wake_at = NULL, finished_at = ?5,
                note = coalesce(?6, note), token = CASE WHEN ?7 THEN token END
             WHERE row = ?1",
        )?
        .execute((row.row, state, end.attempts, end.crashes, write.now(), end.note, end.keep_token))?;
    write_outcome(write, row.row, end.error, end.result)?;
    if let Some(key) = row.unique_key {
        unique::free(write, key, row.row)?;
    }
    tally.step(&row.queue, state_number(row.state), state);
    if row.limited {
        limit::release(write, row.row)?;
    }
    write.touch(Topic::Ended);
    Ok(())
}

/// How a row goes back on the agenda. Every such move raises the seq.
pub(super) struct Move<'a> {
    pub(super) seq: i64,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) due_at: i64,
    pub(super) error: Option<&'a RunError>,
    pub(super) note: Option<&'a str>,
    pub(super) keep_token: bool,
}

/// Puts a row back on the agenda.
pub(super) fn reschedule(
    write: &Write<'_>,
    tally: &mut Tally,
    row: &Brief,
    to: &Move<'_>,
) -> Result<(), SqliteError> {
    write
        .prepare_cached(
            "UPDATE task SET state = 0, seq = ?2, attempts = ?3, crashes = ?4, due_at = ?5, wake_at = ?5, looks = 0,
                cancel = 0, finished_at = NULL, note = ?6, token = CASE WHEN ?7 THEN token END
             WHERE row = ?1",
        )?
        .execute((row.row, to.seq, to.attempts, to.crashes, to.due_at, to.note, to.keep_token))?;
    write_outcome(write, row.row, to.error, None)?;
    tally.step(&row.queue, state_number(row.state), state_number(TaskState::Scheduled));
    if row.limited {
        limit::release(write, row.row)?;
    }
    write.touch(Topic::Agenda);
    Ok(())
}

/// Keeps what a run left behind.
pub(super) fn write_outcome(
    write: &Write<'_>,
    row: i64,
    error: Option<&RunError>,
    result: Option<&Payload>,
) -> Result<(), SqliteError> {
    if error.is_none() && result.is_none() {
        return Ok(());
    }
    let encode = |error: serde_json::Error| SqliteError::Invalid(error.to_string());
    let error = error.map(serde_json::to_string).transpose().map_err(encode)?;
    let result = result.map(rmp_serde::to_vec).transpose();
    let result = result.map_err(|error| SqliteError::Invalid(error.to_string()))?;
    write
        .prepare_cached("UPDATE detail SET error = coalesce(?2, error), result = ?3 WHERE task = ?1")?
        .execute((row, error, result))?;
    Ok(())
}

/// The columns of a full record, in the order that [`record`] reads them.
pub(super) const RECORD: &str =
    "t.row, t.id, t.name, t.queue, t.priority, t.state, t.seq, t.attempts, t.crashes,
    t.fence, t.owner, t.cancel, t.due_at, t.enqueued_at, t.started_at, t.finished_at, t.expires_at, t.note,
    d.message, d.error, d.result, m.name, d.runs";

/// Where they come from.
pub(super) const RECORD_FROM: &str =
    "FROM task t LEFT JOIN detail d ON d.task = t.row LEFT JOIN member m ON m.owner = t.owner";

/// Reads a full record; answers its row number too.
pub(super) fn record(row: &Row<'_>) -> Result<(i64, TaskRecord), SqliteError> {
    let time = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(instant))
    };
    let encoded: Option<Vec<u8>> = row.get(18)?;
    // A listing goes on behind a row that a newer program may have written.
    let kept = encoded.and_then(|bytes| decode(&bytes).ok());
    let is_forgotten = kept.is_none();
    let mut message = kept.map_or_else(|| forgotten(row), Ok)?;
    message.seq = Seq(row.get(6)?);
    message.attempts = row.get(7)?;
    message.crashes = row.get(8)?;
    rule::keep_times(&mut message, row.get(16)?);
    let error: Option<String> = row.get(19)?;
    let result: Option<Vec<u8>> = row.get(20)?;
    let invalid = |error: String| SqliteError::Invalid(error);
    let record = TaskRecord {
        message,
        state: state_of(row.get(5)?)?,
        fence: row.get::<_, Option<i64>>(9)?.map(Fence),
        owner: row.get::<_, Option<[u8; 16]>>(10)?.map(|bytes| OwnerId(Uuid::from_bytes(bytes))),
        worker: row.get(21)?,
        cancel_requested: row.get(11)?,
        due_at: time(12)?,
        enqueued_at: time(13)?,
        started_at: time(14)?,
        finished_at: time(15)?,
        past: past::read(row.get(22)?)?,
        note: row.get(17)?,
        error: error
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|e| invalid(e.to_string()))?,
        result: result.map(|b| rmp_serde::from_slice(&b)).transpose().map_err(|e| invalid(e.to_string()))?,
        forgotten: is_forgotten,
    };
    Ok((row.get(0)?, record))
}

/// Reads a stored message.
pub(super) fn decode(bytes: &[u8]) -> Result<Message, SqliteError> {
    rmp_serde::from_slice(bytes)
        .map_err(|error| SqliteError::Invalid(format!("a stored message cannot be read: {error}")))
}

/// What is left of a message whose details were purged.
fn forgotten(row: &Row<'_>) -> Result<Message, SqliteError> {
    let id = TaskId(Uuid::from_bytes(row.get(1)?));
    let invalid = |error: crate::name::NameError| SqliteError::Invalid(error.to_string());
    let name = TaskName::new(row.get::<_, String>(2)?).map_err(invalid)?;
    let queue = QueueName::new(row.get::<_, String>(3)?).map_err(invalid)?;
    Ok(rule::forgotten(id, name, queue, Priority::new(row.get(4)?).unwrap_or_default()))
}

/// Every occurrence of a schedule that is on the agenda and not yet queued.
pub(super) fn scheduled_of(
    write: &Write<'_>,
    schedule: &crate::name::ScheduleId,
) -> Result<Vec<Brief>, SqliteError> {
    let mut select =
        write.prepare_cached(select_brief!("WHERE schedule_id = ?1 AND state = 0 ORDER BY id"))?;
    briefs(select.query([schedule.as_str()])?)
}
