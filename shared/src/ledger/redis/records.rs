//! Records in a person's hands: edited, and taken over from another ledger.

use async_trait::async_trait;
use jiff::Timestamp;

use super::catalog::number;
use super::error::Fault;
use super::packed::{Packed, Unpacked};
use super::row::{self, duration_micros, error_text, micros, micros_or_none, state_number, state_of};
use super::script::{Args, Call};
use super::session::Session;
use super::settle::note;
use super::{RedisLedger, occurrence, past, reply, window};
use crate::id::Seq;
use crate::ledger::restored::{self, Restored};
use crate::ledger::{
    AfterEdit, Due, Edit, EditAnswer, KeyWindow, LedgerError, Records, RestoreAnswer, RestoredSchedule,
};
use crate::occurrence::OccurrenceRecord;
use crate::task::TaskRecord;

/// So many are changed in one go: everybody else waits for that long.
const BATCH: usize = 1000;

#[async_trait]
impl Records for RedisLedger {
    async fn edit(&self, edits: Vec<Edit>) -> Result<Vec<EditAnswer>, LedgerError> {
        if edits.is_empty() {
            return Ok(Vec::new());
        }
        let answers = edit(&self.session, &edits).await?;
        self.wake(false, true);
        Ok(answers)
    }

    async fn restore(&self, tasks: Vec<TaskRecord>) -> Result<Vec<RestoreAnswer>, LedgerError> {
        let mut answers = Vec::with_capacity(tasks.len());
        for tasks in tasks.chunks(BATCH) {
            answers.extend(restore(&self.session, tasks).await?);
        }
        self.wake(true, true);
        Ok(answers)
    }

    async fn restore_schedules(
        &self,
        schedules: Vec<RestoredSchedule>,
    ) -> Result<Vec<RestoreAnswer>, LedgerError> {
        let mut answers = Vec::with_capacity(schedules.len());
        for schedule in &schedules {
            answers.push(restore_schedule(&self.session, schedule).await?);
        }
        self.wake(false, true);
        Ok(answers)
    }

    async fn windows(&self, after: Option<KeyWindow>, limit: usize) -> Result<Vec<KeyWindow>, LedgerError> {
        Ok(window::list(&self.session, after, limit).await?)
    }

    async fn restore_windows(&self, windows: Vec<KeyWindow>) -> Result<Vec<RestoreAnswer>, LedgerError> {
        let mut answers = Vec::with_capacity(windows.len());
        for windows in windows.chunks(BATCH) {
            answers.extend(window::restore(&self.session, windows).await?);
        }
        Ok(answers)
    }
}

async fn edit(session: &Session, edits: &[Edit]) -> Result<Vec<EditAnswer>, Fault> {
    let mut args = session.begin(Call::Edit);
    for edit in edits {
        let message = edit.message.as_ref().map(|message| restored::edited(edit.id, edit.seq.0, message));
        let (becomes, relative, due) = match edit.then {
            AfterEdit::Stays => (0, false, 0),
            AfterEdit::Replays => (1, false, 0),
            AfterEdit::Waits { due: Due::At(at) } => (2, false, at.as_microsecond()),
            AfterEdit::Waits { due: Due::In(delay) } => (2, true, duration_micros(delay)),
        };
        args.push(
            Packed::of_id(edit.id)
                .long(edit.seq.0)
                .byte(message.is_some().into())
                .byte(becomes)
                .long(micros_or_none(message.as_ref().and_then(crate::message::Message::must_start_by)))
                .byte(relative.into())
                .long(due),
        );
        args.push(note(&edit.note));
        match message {
            Some(message) => args.push(row::tail(&message)).push(row::body(&message)?),
            None => args.push("").push(""),
        };
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    let mut from = Unpacked(&answers);
    edits.iter().map(|_| edited(&mut from)).collect()
}

fn edited(from: &mut Unpacked<'_>) -> Result<EditAnswer, Fault> {
    let (answer, state, seq) = (from.byte()?, state_of(from.byte()?)?, Seq(from.long()?));
    match answer {
        0 => Ok(EditAnswer::Applied { state, seq }),
        1 => Ok(EditAnswer::Changed),
        2 => Ok(EditAnswer::Refused(state)),
        3 => Ok(EditAnswer::Unknown),
        4 => Ok(EditAnswer::KeyTaken { by: from.id()? }),
        other => Err(Fault::Invalid(format!("an edit was answered with an unknown {other}"))),
    }
}

async fn restore(session: &Session, tasks: &[TaskRecord]) -> Result<Vec<RestoreAnswer>, Fault> {
    let mut args = session.begin(Call::Restore);
    for record in tasks {
        push(&mut args, &Restored::of(record))?;
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    Ok(answers.iter().map(|answer| restored::answer(*answer == 1)).collect())
}

fn push(args: &mut Args, restored: &Restored<'_>) -> Result<(), Fault> {
    let record = restored.record;
    let message = &record.message;
    let state = u8::try_from(state_number(restored.state)).expect("a state is a small number");
    let known = |at: Option<i64>| at.map_or(0, |at| at.max(1));
    let numbers = Packed::of_id(message.id)
        .byte(state)
        .byte(restored.has_details.into())
        .long(message.seq.0)
        .int(message.attempts)
        .int(message.crashes)
        .long(micros_or_none(message.must_start_by()))
        .long(known(restored.due_at))
        .long(known(restored.enqueued_at))
        .long(known(restored.started_at))
        .long(known(restored.finished_at))
        .bytes(&restored::key(message).map_or([0; 16], |key| *key.0.as_bytes()));
    let error = record.error.as_ref().map(error_text).transpose()?.unwrap_or_default();
    let result = record.result.as_ref().map(rmp_serde::to_vec).transpose();
    let result = result.map_err(|error| Fault::Invalid(error.to_string()))?.unwrap_or_default();
    let body = if restored.has_details { row::body(message)? } else { Vec::new() };
    args.push(numbers).push(note(record.note.as_deref().unwrap_or_default())).push(row::tail(message));
    args.push(body).push(error).push(result).push(past::packed(&record.past)?);
    Ok(())
}

async fn restore_schedule(session: &Session, schedule: &RestoredSchedule) -> Result<RestoreAnswer, Fault> {
    let RestoredSchedule { record, occurrences } = schedule;
    let definition =
        serde_json::to_string(&record.definition).map_err(|error| Fault::Invalid(error.to_string()))?;
    let mut args = session.begin(Call::RestoreSchedule);
    args.push(record.id.as_str())
        .push(
            Packed::default()
                .long(number(record.incarnation))
                .long(number(record.revision))
                .long(record.updated_at.as_microsecond())
                .long(record.cursor.as_microsecond()),
        )
        .push(Packed::default().text(&record.source).bytes(definition.as_bytes()));
    let mut past: Vec<&OccurrenceRecord> = occurrences.iter().collect();
    past.sort_by_key(|occurrence| planned_at(occurrence));
    for occurrence in past {
        let (fired_at, kept) = match occurrence {
            OccurrenceRecord::Fired { planned_at, fired_at, task_id } => {
                (micros(*fired_at), occurrence::fired(*planned_at, *task_id))
            }
            OccurrenceRecord::Merged { planned_at, merged_at, task_id } => {
                (micros(*merged_at), occurrence::merged(*planned_at, *task_id))
            }
            OccurrenceRecord::Skipped(range) => (0, occurrence::skipped(range)?),
        };
        args.push(Packed::default().long(fired_at).bytes(kept.as_ref()));
    }
    Ok(restored::answer(reply::number(&session.run(&args).await?)? == 1))
}

/// Where in time an occurrence stands in its schedule's past.
fn planned_at(occurrence: &OccurrenceRecord) -> Timestamp {
    match occurrence {
        OccurrenceRecord::Fired { planned_at, .. } | OccurrenceRecord::Merged { planned_at, .. } => {
            *planned_at
        }
        OccurrenceRecord::Skipped(range) => range.from,
    }
}
