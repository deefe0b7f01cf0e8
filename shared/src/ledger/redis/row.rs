//! Rows as scripts keep them: how a message becomes one, and how one is read.

use jiff::Timestamp;

use super::error::Fault;
use super::packed::{Packed, Unpacked, exact};
use super::past;
use super::reply;
use super::script::Args;
use crate::id::{Fence, OwnerId, Seq, TaskId};
use crate::ledger::rule;
pub(super) use crate::ledger::stored::{duration_micros, instant, state_number};
use crate::message::{Message, Priority};
use crate::name::{QueueName, TaskName};
use crate::task::{TaskRecord, TaskState};
use crate::verdict::RunError;

/// The flag of a row that somebody asked to stop.
const CANCEL: u8 = 1;

/// Zero is a time that is not known: the first microsecond of 1970 becomes the second.
pub(super) fn micros(at: Timestamp) -> i64 {
    exact(at.as_microsecond()).max(1)
}

pub(super) fn micros_or_none(at: Option<Timestamp>) -> i64 {
    at.map_or(0, micros)
}

/// The other way round.
pub(super) fn time(micros: i64) -> Option<Timestamp> {
    (micros != 0).then(|| instant(micros))
}

pub(super) fn state_of(number: u8) -> Result<TaskState, Fault> {
    crate::ledger::stored::state_of(i64::from(number)).map_err(Fault::Invalid)
}

/// What of a message never changes and scripts look at.
pub(super) fn tail(message: &Message) -> Packed {
    let schedule = message.occurrence.as_ref().map_or("", |planned| planned.schedule_id.as_str());
    let tags = rule::joined_tags(&message.tags).unwrap_or_default();
    Packed::default()
        .byte(message.priority.get())
        .text(message.queue.as_str())
        .text(message.name.as_str())
        .text(schedule)
        .text(&tags)
}

/// A message as it is kept whole.
pub(super) fn body(message: &Message) -> Result<Vec<u8>, Fault> {
    rmp_serde::to_vec(message).map_err(|error| Fault::Invalid(error.to_string()))
}

/// Pushes a message as three arguments: its numbers, and what is packed behind them; its tail; and the whole.
pub(super) fn push(args: &mut Args, numbers: Packed, message: &Message) -> Result<(), Fault> {
    args.push(numbers).push(tail(message)).push(body(message)?);
    Ok(())
}

/// An error as it is kept.
pub(super) fn error_text(error: &RunError) -> Result<String, Fault> {
    serde_json::to_string(error).map_err(|error| Fault::Invalid(error.to_string()))
}

/// A row, read.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) id: TaskId,
    pub(super) state: TaskState,
    flags: u8,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) seq: Seq,
    fence: i64,
    owner: Option<OwnerId>,
    pub(super) due: i64,
    enqueued: i64,
    started: i64,
    finished: i64,
    expires: i64,
    pub(super) looks: u16,
    note: &'a str,
    priority: u8,
    queue: &'a str,
    name: &'a str,
}

impl<'a> Row<'a> {
    /// Of an id and the row behind it.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut from = Unpacked(bytes);
        let id = from.id()?;
        let mut row = Self {
            id,
            state: TaskState::Scheduled,
            flags: 0,
            attempts: 0,
            crashes: 0,
            seq: Seq(0),
            fence: 0,
            owner: None,
            due: 0,
            enqueued: 0,
            started: 0,
            finished: 0,
            expires: 0,
            looks: 0,
            note: "",
            priority: 0,
            queue: "",
            name: "",
        };
        row.state = state_of(from.byte()?)?;
        row.flags = from.byte()?;
        row.attempts = from.int()?;
        row.crashes = from.int()?;
        row.seq = Seq(from.long()?);
        row.fence = from.long()?;
        from.take(8)?;
        row.owner = Some(from.owner()?).filter(|owner| !owner.0.is_nil());
        row.due = from.long()?;
        from.long()?;
        row.enqueued = from.long()?;
        row.started = from.long()?;
        row.finished = from.long()?;
        row.expires = from.long()?;
        from.long()?;
        row.looks = from.short()?;
        from.short()?;
        from.long()?;
        row.note = from.text()?;
        row.priority = from.byte()?;
        row.queue = from.text()?;
        row.name = from.text()?;
        Ok(row)
    }

    /// The message that it runs from: what is kept whole, with the row's own counts.
    pub(super) fn message(&self, body: &[u8]) -> Result<Message, Fault> {
        let message: Message = rmp_serde::from_slice(body)
            .map_err(|error| Fault::Invalid(format!("a stored message cannot be read: {error}")))?;
        Ok(self.counted(message))
    }

    fn counted(&self, mut message: Message) -> Message {
        message.seq = self.seq;
        message.attempts = self.attempts;
        message.crashes = self.crashes;
        rule::keep_times(&mut message, (self.expires != 0).then_some(self.expires));
        message
    }

    /// What is left of a message whose details were purged.
    fn forgotten(&self) -> Result<Message, Fault> {
        let invalid = |error: crate::name::NameError| Fault::Invalid(error.to_string());
        let name = TaskName::new(self.name).map_err(invalid)?;
        let queue = QueueName::new(self.queue).map_err(invalid)?;
        let priority = Priority::new(self.priority).unwrap_or_default();
        Ok(self.counted(rule::forgotten(self.id, name, queue, priority)))
    }
}

/// Reads a whole record: row, message, error, result, its worker's name, and its past runs.
pub(super) fn record(value: redis::Value) -> Result<TaskRecord, Fault> {
    let [row, body, error, result, member, story] = reply::parts(value)?;
    let row = reply::bytes(row)?;
    let row = Row::read(&row)?;
    // A listing goes on behind a row that a newer program may have written.
    let kept = reply::optional(body)?.and_then(|body| row.message(&body).ok());
    let is_forgotten = kept.is_none();
    let message = kept.map_or_else(|| row.forgotten(), Ok)?;
    let invalid = |error: &dyn std::fmt::Display| Fault::Invalid(error.to_string());
    let error = reply::optional(error)?.map(|text| serde_json::from_slice(&text)).transpose();
    let result = reply::optional(result)?.map(|bytes| rmp_serde::from_slice(&bytes)).transpose();
    let member = reply::optional(member)?;
    Ok(TaskRecord {
        message,
        state: row.state,
        fence: (row.fence != 0).then_some(Fence(row.fence)),
        owner: row.owner,
        worker: member.as_deref().map(super::member::name).transpose()?,
        due_at: time(row.due),
        enqueued_at: time(row.enqueued),
        started_at: time(row.started),
        finished_at: time(row.finished),
        error: error.map_err(|error| invalid(&error))?,
        result: result.map_err(|error| invalid(&error))?,
        cancel_requested: row.flags & CANCEL != 0,
        past: past::read(reply::optional(story)?)?,
        note: Some(row.note.to_owned()).filter(|note| !note.is_empty()),
        forgotten: is_forgotten,
    })
}
