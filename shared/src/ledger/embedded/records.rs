//! Records in a person's hands: edited, and taken over from another ledger.

use async_trait::async_trait;
use jiff::Timestamp;

use super::row::{self, Brief, Move, New, state_number};
use super::tally::Tally;
use super::{EmbeddedLedger, catalog, occurrence, past, unique};
use crate::id::Seq;
use crate::ledger::restored::{self, Edited, Restored};
use crate::ledger::stored::due_at;
use crate::ledger::{
    AfterEdit, Edit, EditAnswer, KeyWindow, LedgerError, Records, RestoreAnswer, RestoredSchedule, rule,
};
use crate::message::Message;
use crate::sqlite::{SqliteError, Topic, Write};
use crate::task::{TaskRecord, TaskState};

#[async_trait]
impl Records for EmbeddedLedger {
    async fn edit(&self, edits: Vec<Edit>) -> Result<Vec<EditAnswer>, LedgerError> {
        let edited = self.file.write(move |write| {
            let mut tally = Tally::default();
            let answers = edits.iter().map(|one| edit(write, &mut tally, one)).collect::<Result<_, _>>()?;
            tally.write(write)?;
            Ok(answers)
        });
        Ok(edited.await?)
    }

    async fn restore(&self, tasks: Vec<TaskRecord>) -> Result<Vec<RestoreAnswer>, LedgerError> {
        let restored = self.file.write(move |write| {
            let mut tally = Tally::default();
            let answers =
                tasks.iter().map(|one| restore(write, &mut tally, one)).collect::<Result<_, _>>()?;
            tally.write(write)?;
            write.touch(Topic::Agenda);
            Ok(answers)
        });
        Ok(restored.await?)
    }

    async fn restore_schedules(
        &self,
        schedules: Vec<RestoredSchedule>,
    ) -> Result<Vec<RestoreAnswer>, LedgerError> {
        let mut answers = Vec::with_capacity(schedules.len());
        for schedule in schedules {
            answers.push(self.file.write(move |write| restore_schedule(write, &schedule)).await?);
        }
        Ok(answers)
    }

    async fn windows(&self, after: Option<KeyWindow>, limit: usize) -> Result<Vec<KeyWindow>, LedgerError> {
        let now = self.file.now().as_microsecond();
        Ok(self.file.read(move |read| unique::windows(read, now, after, limit)).await?)
    }

    async fn restore_windows(&self, windows: Vec<KeyWindow>) -> Result<Vec<RestoreAnswer>, LedgerError> {
        let restored = self.file.write(move |write| {
            let restore = |window| Ok(restored::answer(unique::restore_window(write, window)?));
            windows.iter().map(restore).collect::<Result<_, _>>()
        });
        Ok(restored.await?)
    }
}

fn edit(write: &Write<'_>, tally: &mut Tally, edit: &Edit) -> Result<EditAnswer, SqliteError> {
    let Some(mut row) = row::find(write, edit.id)? else { return Ok(EditAnswer::Unknown) };
    let has_details = write.prepare_cached("SELECT 1 FROM detail WHERE task = ?1")?.exists([row.row])?;
    if let Some(refused) = restored::refusal(edit, Edited { state: row.state, seq: row.seq, has_details }) {
        return Ok(refused);
    }
    if edit.then == AfterEdit::Replays
        && let Some(by) = unique::take_again(write, edit.id, &row)?
    {
        return Ok(EditAnswer::KeyTaken { by });
    }
    if let Some(message) = &edit.message {
        replace(write, tally, &row, &restored::edited(edit.id, row.seq, message))?;
        message.queue.as_str().clone_into(&mut row.queue);
    }
    let seq = row.seq + 1;
    let state = match edit.then {
        AfterEdit::Stays => {
            write
                .prepare_cached("UPDATE task SET seq = ?2, note = ?3 WHERE row = ?1")?
                .execute((row.row, seq, &edit.note))?;
            row.state
        }
        AfterEdit::Replays => {
            let note = Some(edit.note.as_str());
            let to = Move { attempts: 0, crashes: 0, note, ..row.move_to(write.now()) };
            row::reschedule(write, tally, &row, &to)?;
            write.prepare_cached("UPDATE task SET expires_at = NULL WHERE row = ?1")?.execute([row.row])?;
            TaskState::Scheduled
        }
        AfterEdit::Waits { due } => {
            let to = row.move_to(due_at(due, write.now()));
            row::reschedule(write, tally, &row, &Move { note: Some(edit.note.as_str()), ..to })?;
            TaskState::Scheduled
        }
    };
    Ok(EditAnswer::Applied { state, seq: Seq(seq) })
}

/// Another message for a row, which may be of another queue.
fn replace(write: &Write<'_>, tally: &mut Tally, row: &Brief, message: &Message) -> Result<(), SqliteError> {
    write
        .prepare_cached(
            "UPDATE task SET name = ?2, queue = ?3, priority = ?4, tags = ?5, expires_at = ?6 WHERE row = ?1",
        )?
        .execute((
            row.row,
            message.name.as_str(),
            message.queue.as_str(),
            message.priority.get(),
            rule::joined_tags(&message.tags),
            message.must_start_by().map(Timestamp::as_microsecond),
        ))?;
    let encoded = rmp_serde::to_vec(message).map_err(|error| SqliteError::Invalid(error.to_string()))?;
    write.prepare_cached("UPDATE detail SET message = ?2 WHERE task = ?1")?.execute((row.row, encoded))?;
    tally.leave(&row.queue, state_number(row.state));
    tally.enter(message.queue.as_str(), state_number(row.state));
    Ok(())
}

fn restore(write: &Write<'_>, tally: &mut Tally, record: &TaskRecord) -> Result<RestoreAnswer, SqliteError> {
    if row::find(write, record.id())?.is_some() {
        return Ok(restored::answer(false));
    }
    let restored = Restored::of(record);
    let due_at = restored.due_at.unwrap_or_else(|| write.now());
    let (message, state) = (&record.message, restored.state);
    let wake_at = (state == TaskState::Scheduled).then_some(due_at);
    let note = record.note.as_deref();
    let row = row::insert(write, tally, &New { message, state, seq: message.seq, due_at, wake_at, note })?;
    write
        .prepare_cached(
            "UPDATE task SET enqueued_at = ?2, started_at = ?3, finished_at = coalesce(?4, finished_at)
             WHERE row = ?1",
        )?
        .execute((row, restored.enqueued_at, restored.started_at, restored.finished_at))?;
    unique::write_key(write, row, message)?;
    if state == TaskState::Scheduled
        && let Some(key) = restored::key(message)
    {
        unique::take_if_free(write, key, record.id())?;
    }
    if restored.has_details {
        row::write_outcome(write, row, record.error.as_ref(), record.result.as_ref())?;
        past::restore(write, row, &record.past)?;
    } else {
        write.prepare_cached("DELETE FROM detail WHERE task = ?1")?.execute([row])?;
    }
    Ok(restored::answer(true))
}

fn restore_schedule(write: &Write<'_>, schedule: &RestoredSchedule) -> Result<RestoreAnswer, SqliteError> {
    let is_new = catalog::restore(write, &schedule.record)?;
    if is_new {
        occurrence::restore(write, schedule)?;
    }
    Ok(restored::answer(is_new))
}
