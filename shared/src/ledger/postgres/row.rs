//! Rows of `task`: how values are kept and read.

use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Fault;
use super::foreign;
use super::past;
use crate::id::{Fence, KeyId, OwnerId, Seq, TaskId};
pub(super) use crate::ledger::stored::{duration_micros, instant, state_number};
use crate::ledger::{rule, stored};
use crate::message::{Message, Priority};
use crate::name::{QueueName, TaskName};
use crate::task::{TaskRecord, TaskState};
use crate::verdict::RunError;

/// Reads a state.
pub(super) fn state_of(number: i16) -> Result<TaskState, Fault> {
    stored::state_of(number.into()).map_err(Fault::Invalid)
}

/// A counter as the schema keeps it.
pub(super) fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Reads a counter.
pub(super) fn count(row: &Row, column: &str) -> Result<u32, Fault> {
    Ok(u32::try_from(row.try_get::<_, i32>(column)?).unwrap_or(0))
}

/// A large counter as the schema keeps it.
pub(super) fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A limit.
pub(super) fn limit(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

/// Text from outside: Postgres keeps every character but NUL.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// An error as it is kept. JSON writes NUL as an escape.
pub(super) fn error_text(error: &RunError) -> Result<String, Fault> {
    serde_json::to_string(error).map_err(|error| Fault::Invalid(error.to_string()))
}

/// A message as it is kept.
pub(super) fn encode(message: &Message) -> Result<Vec<u8>, Fault> {
    rmp_serde::to_vec(message).map_err(|error| Fault::Invalid(error.to_string()))
}

/// Reads a kept message.
pub(super) fn decode(bytes: &[u8]) -> Result<Message, Fault> {
    if foreign::is_message(bytes) {
        return foreign::message(bytes);
    }
    rmp_serde::from_slice(bytes)
        .map_err(|error| Fault::Invalid(format!("a stored message cannot be read: {error}")))
}

/// What every transition that is decided here needs to know of a row.
#[derive(Clone, Debug)]
pub(super) struct Brief {
    pub(super) id: TaskId,
    /// The store's time when the row was locked, in microseconds.
    pub(super) now: i64,
    pub(super) owner: Option<OwnerId>,
    pub(super) state: TaskState,
    pub(super) seq: i64,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) cancel: bool,
    pub(super) parks: u32,
    pub(super) parked_at: Option<i64>,
    pub(super) has_details: bool,
    /// That it holds until it has ended.
    pub(super) unique_key: Option<KeyId>,
}

/// Locks rows in the order of ids and reads what [`brief`] reads; a condition on `t` follows, then [`LOCK`].
pub(super) const SELECT: &str =
    "select (select now_us()) as now, t.id, t.owner, t.state, t.seq, t.attempts, t.crashes,
    t.cancel, t.parks, t.parked_at, t.unique_key, exists (select from detail d where d.task = t.row) as has_details
    from task t where ";

/// See [`SELECT`].
pub(super) const LOCK: &str = " order by t.id for update of t";

/// Reads a row that [`SELECT`] selected.
pub(super) fn brief(row: &Row) -> Result<Brief, Fault> {
    Ok(Brief {
        id: TaskId(row.try_get("id")?),
        now: row.try_get("now")?,
        owner: row.try_get::<_, Option<Uuid>>("owner")?.map(OwnerId),
        state: state_of(row.try_get("state")?)?,
        seq: row.try_get("seq")?,
        attempts: count(row, "attempts")?,
        crashes: count(row, "crashes")?,
        cancel: row.try_get("cancel")?,
        parks: count(row, "parks")?,
        parked_at: row.try_get("parked_at")?,
        has_details: row.try_get("has_details")?,
        unique_key: row.try_get::<_, Option<Uuid>>("unique_key")?.map(KeyId),
    })
}

/// Selects what [`record`] reads; conditions on `t` follow.
pub(super) const RECORD: &str = "select t.row, t.id, t.name, t.queue, t.priority, t.state, t.seq, t.attempts, t.crashes,
    t.fence, t.owner, t.cancel, t.due_at, t.enqueued_at, t.started_at, t.finished_at, t.expires_at, t.note, d.message,
    o.error, o.result, m.name as worker, r.ended, r.kept
    from task t left join detail d on d.task = t.row left join outcome o on o.task = t.row
    left join run r on r.task = t.row left join member m on m.owner = t.owner where ";

/// Reads a full record.
pub(super) fn record(row: &Row) -> Result<TaskRecord, Fault> {
    let time = |column: &str| Ok::<_, Fault>(row.try_get::<_, Option<i64>>(column)?.map(instant));
    let encoded: Option<&[u8]> = row.try_get("message")?;
    // A listing goes on behind a row that a newer program may have written.
    let readable = encoded.and_then(|bytes| decode(bytes).ok());
    let is_forgotten = readable.is_none();
    let mut message = readable.map_or_else(|| forgotten(row), Ok)?;
    message.seq = Seq(row.try_get("seq")?);
    message.attempts = count(row, "attempts")?;
    message.crashes = count(row, "crashes")?;
    rule::keep_times(&mut message, row.try_get("expires_at")?);
    let error: Option<&str> = row.try_get("error")?;
    let result: Option<&[u8]> = row.try_get("result")?;
    let invalid = |what: &str, error: &dyn std::fmt::Display| {
        Fault::Invalid(format!("the {what} of a task cannot be read: {error}"))
    };
    Ok(TaskRecord {
        message,
        state: state_of(row.try_get("state")?)?,
        fence: row.try_get::<_, Option<i64>>("fence")?.map(Fence),
        owner: row.try_get::<_, Option<Uuid>>("owner")?.map(OwnerId),
        worker: row.try_get("worker")?,
        cancel_requested: row.try_get("cancel")?,
        due_at: time("due_at")?,
        enqueued_at: time("enqueued_at")?,
        started_at: time("started_at")?,
        finished_at: time("finished_at")?,
        past: past::read(row)?,
        note: row.try_get("note")?,
        error: error.map(serde_json::from_str).transpose().map_err(|e| invalid("error", &e))?,
        result: result.map(foreign::result).transpose().map_err(|e| invalid("result", &e))?,
        forgotten: is_forgotten,
    })
}

/// What is left of a message whose details were purged.
fn forgotten(row: &Row) -> Result<Message, Fault> {
    let invalid = |error: crate::name::NameError| Fault::Invalid(error.to_string());
    let name = TaskName::new(row.try_get::<_, &str>("name")?).map_err(invalid)?;
    let queue = QueueName::new(row.try_get::<_, &str>("queue")?).map_err(invalid)?;
    let priority = u8::try_from(row.try_get::<_, i16>("priority")?).ok().and_then(Priority::new);
    Ok(rule::forgotten(TaskId(row.try_get("id")?), name, queue, priority.unwrap_or_default()))
}

/// A queue's name.
pub(super) fn queue_name(text: &str) -> Result<QueueName, Fault> {
    QueueName::new(text).map_err(|error| Fault::Invalid(error.to_string()))
}
