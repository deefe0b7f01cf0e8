//! Changes that are decided here, about rows that are locked, and written in one batch.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::error::Fault;
use super::row::{Brief, error_text, int, state_number, text};
use super::session::Session;
use crate::task::TaskState;
use crate::verdict::RunError;

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To a terminal state.
    End = 0,
    /// Back on the agenda.
    Move = 1,
    /// Back on the agenda by a worker that cannot run it, which is counted.
    Park = 2,
    /// Back on the agenda after it had ended: it may start though it had expired.
    Revive = 3,
    /// Its details go; its id stays known.
    Drop = 4,
    /// It runs, and is asked to stop.
    Ask = 5,
}

/// A change of one row. The claim's token goes with every end and move: only its own settle leaves it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) state: TaskState,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) seq: i64,
    /// Of moves, in microseconds.
    pub(super) due_at: i64,
    /// An end without a note keeps the one that is there; a move does not.
    pub(super) note: Option<String>,
    pub(super) error: Option<RunError>,
}

impl Brief {
    fn change(&self, kind: Kind, state: TaskState) -> Change {
        Change {
            kind,
            state,
            attempts: self.attempts,
            crashes: self.crashes,
            seq: self.seq,
            due_at: self.now,
            note: None,
            error: None,
        }
    }

    /// An end that changes no count.
    pub(super) fn end_as(&self, state: TaskState, note: &str) -> Change {
        Change { note: Some(note.to_owned()), ..self.change(Kind::End, state) }
    }

    /// A move to this instant, in microseconds, that changes no count. Every move raises the seq.
    pub(super) fn move_to(&self, due_at: i64, note: &str) -> Change {
        let moved = self.change(Kind::Move, TaskState::Scheduled);
        Change { seq: self.seq + 1, due_at, note: Some(note.to_owned()), ..moved }
    }

    /// Its details go.
    pub(super) fn drop(&self) -> Change {
        Change { note: Some("dropped".into()), ..self.change(Kind::Drop, TaskState::Cancelled) }
    }

    /// It is asked to stop.
    pub(super) fn ask(&self) -> Change {
        self.change(Kind::Ask, self.state)
    }
}

/// Changes, as columns.
#[derive(Debug, Default)]
pub(super) struct Changes {
    ids: Vec<Uuid>,
    kinds: Vec<i16>,
    was: Vec<i16>,
    states: Vec<i16>,
    seqs: Vec<i64>,
    attempts: Vec<i32>,
    crashes: Vec<i32>,
    due: Vec<i64>,
    notes: Vec<Option<String>>,
    errors: Vec<Option<String>>,
}

impl Changes {
    /// Adds one; a row is changed once in a batch.
    pub(super) fn push(&mut self, row: &Brief, change: &Change) -> Result<(), Fault> {
        self.ids.push(row.id.0);
        self.kinds.push(change.kind as i16);
        self.was.push(state_number(row.state));
        self.states.push(state_number(change.state));
        self.seqs.push(change.seq);
        self.attempts.push(int(change.attempts));
        self.crashes.push(int(change.crashes));
        self.due.push(change.due_at);
        self.notes.push(change.note.as_deref().map(text));
        self.errors.push(change.error.as_ref().map(error_text).transpose()?);
        Ok(())
    }

    /// Writes them.
    pub(super) async fn write(self, session: &Session) -> Result<(), Fault> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let params: [&(dyn ToSql + Sync); 10] = [
            &self.ids,
            &self.kinds,
            &self.was,
            &self.states,
            &self.seqs,
            &self.attempts,
            &self.crashes,
            &self.due,
            &self.notes,
            &self.errors,
        ];
        session.query("select change_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", &params).await?;
        Ok(())
    }
}
