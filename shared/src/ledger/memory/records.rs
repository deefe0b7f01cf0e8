//! Records in a person's hands: edited, and taken over from another ledger.

use async_trait::async_trait;

use super::row::{Details, Move, Row};
use super::state::Write;
use super::{MemoryLedger, catalog, occurrence, unique};
use crate::id::Seq;
use crate::ledger::restored::{self, Edited, Restored};
use crate::ledger::stored::due_at;
use crate::ledger::{
    AfterEdit, Edit, EditAnswer, KeyWindow, LedgerError, Records, RestoreAnswer, RestoredSchedule, rule,
};
use crate::message::Message;
use crate::task::{TaskRecord, TaskState};

#[async_trait]
impl Records for MemoryLedger {
    async fn edit(&self, edits: Vec<Edit>) -> Result<Vec<EditAnswer>, LedgerError> {
        Ok(self.write(|write| edits.iter().map(|one| edit(write, one)).collect()))
    }

    async fn restore(&self, tasks: Vec<TaskRecord>) -> Result<Vec<RestoreAnswer>, LedgerError> {
        Ok(self.write(|write| {
            write.touch_agenda();
            tasks.into_iter().map(|one| restore(write, &one)).collect()
        }))
    }

    async fn restore_schedules(
        &self,
        schedules: Vec<RestoredSchedule>,
    ) -> Result<Vec<RestoreAnswer>, LedgerError> {
        Ok(self.write(|write| schedules.into_iter().map(|one| restore_schedule(write, one)).collect()))
    }

    async fn windows(&self, after: Option<KeyWindow>, limit: usize) -> Result<Vec<KeyWindow>, LedgerError> {
        let now = self.time.now();
        Ok(self.read(|state| state.holds.windows(now, after, limit)))
    }

    async fn restore_windows(&self, windows: Vec<KeyWindow>) -> Result<Vec<RestoreAnswer>, LedgerError> {
        Ok(self.write(|write| {
            let restore = |window: KeyWindow| restored::answer(unique::restore_window(write, window));
            windows.into_iter().map(restore).collect()
        }))
    }
}

fn edit(write: &mut Write<'_>, edit: &Edit) -> EditAnswer {
    let Some((number, row)) = write.state.find(edit.id) else { return EditAnswer::Unknown };
    let (state, before, has_details) = (row.state, row.seq, row.details.is_some());
    if let Some(refused) = restored::refusal(edit, Edited { state, seq: before, has_details }) {
        return refused;
    }
    let seq = before + 1;
    if edit.then == AfterEdit::Replays
        && let Err(by) = unique::take_again(write, number)
    {
        return EditAnswer::KeyTaken { by };
    }
    if let Some(message) = &edit.message {
        let message = restored::edited(edit.id, before, message);
        write.state.change(number, |row| replace(row, message));
    }
    let state = match edit.then {
        AfterEdit::Stays => {
            write.state.change(number, |row| {
                row.seq = seq;
                row.note = Some(edit.note.clone());
            });
            state
        }
        AfterEdit::Replays => {
            let to = write.state.row(number).move_to(write.now());
            let note = Some(edit.note.as_str());
            write.reschedule(number, Move { attempts: 0, crashes: 0, note, ..to });
            write.state.change(number, |row| row.expires_at = None);
            TaskState::Scheduled
        }
        AfterEdit::Waits { due } => {
            let to = write.state.row(number).move_to(due_at(due, write.now()));
            write.reschedule(number, Move { note: Some(edit.note.as_str()), ..to });
            TaskState::Scheduled
        }
    };
    EditAnswer::Applied { state, seq: Seq(seq) }
}

/// Another message for a row, which may be of another queue.
fn replace(row: &mut Row, message: Message) {
    row.name = message.name.clone();
    row.queue = message.queue.clone();
    row.priority = message.priority;
    row.tags = rule::joined_tags(&message.tags);
    row.expires_at = message.must_start_by().map(jiff::Timestamp::as_microsecond);
    if let Some(details) = &mut row.details {
        details.message = message;
    }
}

fn restore(write: &mut Write<'_>, record: &TaskRecord) -> RestoreAnswer {
    if write.state.number(record.id()).is_some() {
        return restored::answer(false);
    }
    let (now, restored) = (write.now(), Restored::of(record));
    let (message, state) = (record.message.clone(), restored.state);
    let due_at = restored.due_at.unwrap_or(now);
    let details = Details {
        message: message.clone(),
        error: record.error.clone(),
        result: record.result.clone(),
        past: record.past.clone(),
    };
    let key = unique::held_by(&message);
    if let Some(key) = key
        && state == TaskState::Scheduled
    {
        unique::take_if_free(write, key, record.id());
    }
    let row = Row::new(message, state, record.seq(), due_at, now);
    write.insert(Row {
        wake_at: (state == TaskState::Scheduled).then_some(due_at),
        enqueued_at: restored.enqueued_at,
        started_at: restored.started_at,
        finished_at: restored.finished_at.or(row.finished_at),
        note: record.note.clone(),
        unique: key,
        details: restored.has_details.then(|| Box::new(details)),
        ..row
    });
    restored::answer(true)
}

fn restore_schedule(write: &mut Write<'_>, schedule: RestoredSchedule) -> RestoreAnswer {
    let RestoredSchedule { record, occurrences } = schedule;
    let (id, incarnation) = (record.id.clone(), record.incarnation);
    let is_new = catalog::restore(write, record);
    if is_new {
        occurrence::restore(write, &id, incarnation, occurrences);
    }
    restored::answer(is_new)
}
