//! Rows: what is kept of a task, how a row is made, ends, moves and is shown.

use jiff::Timestamp;

use super::limit;
use super::state::{State, Write};
use crate::id::{Fence, KeyId, OwnerId, Seq, TaskId, Token};
use crate::ledger::past::Ended;
use crate::ledger::rule;
use crate::ledger::stored::instant;
use crate::message::{Message, Payload, Priority};
use crate::name::{QueueName, ScheduleId, TaskName};
use crate::run::PastRuns;
use crate::task::{TaskRecord, TaskState};
use crate::verdict::RunError;

/// What is kept of a task. Times are in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: TaskId,
    pub(super) name: TaskName,
    pub(super) queue: QueueName,
    pub(super) priority: Priority,
    pub(super) state: TaskState,
    pub(super) seq: i64,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) fence: Option<Fence>,
    pub(super) token: Option<Token>,
    pub(super) owner: Option<OwnerId>,
    pub(super) cancel: bool,
    /// When a beat looks at it next.
    pub(super) wake_at: Option<i64>,
    pub(super) due_at: i64,
    pub(super) recorded_at: i64,
    pub(super) enqueued_at: Option<i64>,
    pub(super) started_at: Option<i64>,
    pub(super) finished_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
    pub(super) looks: u32,
    pub(super) parks: u32,
    pub(super) parked_at: Option<i64>,
    pub(super) schedule: Option<ScheduleId>,
    /// Between commas.
    pub(super) tags: Option<String>,
    pub(super) note: Option<String>,
    /// The unique key that it holds until it has ended.
    pub(super) unique: Option<KeyId>,
    /// It has, or waits for, something of a limit.
    pub(super) limited: bool,
    /// What retention takes first.
    pub(super) details: Option<Box<Details>>,
}

/// A row's larger part.
#[derive(Clone, Debug)]
pub(super) struct Details {
    /// As it came; what changes is the row's.
    pub(super) message: Message,
    pub(super) error: Option<RunError>,
    pub(super) result: Option<Payload>,
    pub(super) past: PastRuns,
}

/// Where indexes have a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: TaskId,
    pub(super) queue: QueueName,
    pub(super) state: TaskState,
    pub(super) wake_at: Option<i64>,
    /// In whose name it runs.
    pub(super) running: Option<OwnerId>,
    /// When it ended, if it is not kept until somebody drops it.
    pub(super) finished: Option<i64>,
    pub(super) detailed: bool,
    /// The schedule whose removal cancels it.
    pub(super) planned: Option<ScheduleId>,
}

impl Row {
    /// A row of a message, on no agenda.
    pub(super) fn new(message: Message, state: TaskState, seq: Seq, due_at: i64, now: i64) -> Self {
        Self {
            id: message.id,
            name: message.name.clone(),
            queue: message.queue.clone(),
            priority: message.priority,
            state,
            seq: seq.0,
            attempts: message.attempts,
            crashes: message.crashes,
            fence: None,
            token: None,
            owner: None,
            cancel: false,
            wake_at: None,
            due_at,
            recorded_at: now,
            enqueued_at: None,
            started_at: None,
            finished_at: state.is_terminal().then_some(now),
            expires_at: message.must_start_by().map(Timestamp::as_microsecond),
            looks: 0,
            parks: 0,
            parked_at: None,
            schedule: message.occurrence.as_ref().map(|planned| planned.schedule_id.clone()),
            tags: rule::joined_tags(&message.tags),
            note: None,
            unique: None,
            limited: false,
            details: Some(Box::new(Details {
                message,
                error: None,
                result: None,
                past: PastRuns::default(),
            })),
        }
    }

    /// Where indexes have it.
    pub(super) fn place(&self) -> Place {
        Place {
            id: self.id,
            queue: self.queue.clone(),
            state: self.state,
            wake_at: self.wake_at,
            running: self.owner.filter(|_| self.state == TaskState::Running),
            finished: self.finished_at.filter(|_| self.state != TaskState::Dead),
            detailed: self.details.is_some(),
            planned: self.schedule.clone().filter(|_| self.state == TaskState::Scheduled),
        }
    }

    /// Its message as the agenda gives it out: with the row's counts. `None` once its details are gone.
    pub(super) fn promoted(&self) -> Option<Message> {
        let message = self.details.as_ref()?.message.clone();
        let (seq, attempts, crashes) = (Seq(self.seq), self.attempts, self.crashes);
        let mut message = Message { seq, attempts, crashes, ..message };
        rule::keep_times(&mut message, self.expires_at);
        Some(message)
    }

    /// A terminal state that changes no count and says nothing. The claim's token goes: only its own settle leaves it.
    pub(super) fn end_as(&self, state: TaskState) -> End<'static> {
        let (attempts, crashes) = (self.attempts, self.crashes);
        End { state, attempts, crashes, error: None, result: None, note: None, keep_token: false }
    }

    /// A move to this instant that changes no count and says nothing. The claim's token goes.
    pub(super) fn move_to(&self, due_at: i64) -> Move<'static> {
        let (seq, attempts, crashes) = (self.seq + 1, self.attempts, self.crashes);
        Move { seq, attempts, crashes, due_at, error: None, note: None, keep_token: false }
    }

    fn keep_outcome(&mut self, error: Option<RunError>, result: Option<Payload>) {
        if error.is_none() && result.is_none() {
            return;
        }
        if let Some(details) = &mut self.details {
            details.error = error.or_else(|| details.error.take());
            details.result = result;
        }
    }
}

/// How a row ends.
#[derive(Debug)]
pub(super) struct End<'a> {
    pub(super) state: TaskState,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) error: Option<RunError>,
    pub(super) result: Option<Payload>,
    pub(super) note: Option<&'a str>,
    /// Whether the claim's token stays, so that the same settle repeated is recognised.
    pub(super) keep_token: bool,
}

/// How a row goes back on the agenda. Every such move raises the seq.
#[derive(Debug)]
pub(super) struct Move<'a> {
    pub(super) seq: i64,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) due_at: i64,
    pub(super) error: Option<RunError>,
    pub(super) note: Option<&'a str>,
    pub(super) keep_token: bool,
}

impl Write<'_> {
    /// Makes a row; answers its number.
    pub(super) fn insert(&mut self, row: Row) -> i64 {
        if row.state.is_terminal() {
            self.touch_ended();
        }
        self.state.insert(row)
    }

    /// Makes a row terminal.
    pub(super) fn end(&mut self, number: i64, end: End<'_>) {
        let now = self.now();
        self.state.change(number, |row| {
            row.state = end.state;
            (row.attempts, row.crashes) = (end.attempts, end.crashes);
            row.wake_at = None;
            row.finished_at = Some(now);
            if let Some(note) = end.note {
                row.note = Some(note.to_owned());
            }
            row.token = row.token.filter(|_| end.keep_token);
            row.keep_outcome(end.error, end.result);
        });
        let Row { id, unique, .. } = *self.state.row(number);
        if let Some(key) = unique {
            self.state.holds.free(key, id);
        }
        limit::release(self, number);
        self.touch_ended();
    }

    /// Adds the run that a row tells of, which ends now, to the story of its task.
    pub(super) fn add_past(&mut self, number: i64, ended: &Ended<'_>) {
        let now = self.now();
        let row = self.state.row(number);
        let worker = row.owner.and_then(|owner| Some(self.state.members.get(&owner)?.name.clone()));
        let past = ended.past(row.started_at.unwrap_or(now), now, worker);
        self.state.change(number, |row| {
            if let Some(details) = &mut row.details {
                details.past.push(past);
            }
        });
    }

    /// Puts a row back on the agenda.
    pub(super) fn reschedule(&mut self, number: i64, to: Move<'_>) {
        self.state.change(number, |row| {
            row.state = TaskState::Scheduled;
            row.seq = to.seq;
            (row.attempts, row.crashes) = (to.attempts, to.crashes);
            row.due_at = to.due_at;
            row.wake_at = Some(to.due_at);
            row.looks = 0;
            row.cancel = false;
            row.finished_at = None;
            row.note = to.note.map(str::to_owned);
            row.token = row.token.filter(|_| to.keep_token);
            row.keep_outcome(to.error, None);
        });
        limit::release(self, number);
        self.touch_agenda();
    }
}

impl State {
    /// A row as listings show it.
    pub(super) fn record(&self, row: &Row) -> TaskRecord {
        let message = row.promoted();
        let forgotten = message.is_none();
        let message = message.unwrap_or_else(|| {
            let left = rule::forgotten(row.id, row.name.clone(), row.queue.clone(), row.priority);
            Message { seq: Seq(row.seq), attempts: row.attempts, crashes: row.crashes, ..left }
        });
        let (error, result) = row
            .details
            .as_ref()
            .map_or((None, None), |details| (details.error.clone(), details.result.clone()));
        TaskRecord {
            message,
            state: row.state,
            fence: row.fence,
            owner: row.owner,
            worker: row.owner.and_then(|owner| Some(self.members.get(&owner)?.name.clone())),
            due_at: Some(instant(row.due_at)),
            enqueued_at: row.enqueued_at.map(instant),
            started_at: row.started_at.map(instant),
            finished_at: row.finished_at.map(instant),
            error,
            result,
            cancel_requested: row.cancel,
            past: row.details.as_ref().map(|details| details.past.clone()).unwrap_or_default(),
            note: row.note.clone(),
            forgotten,
        }
    }
}
