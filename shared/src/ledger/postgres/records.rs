//! Records in a person's hands: edited, and taken over from another ledger.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::act::lock;
use super::add::{self, Made, NewRow, RowKind};
use super::change::{Change, Changes, Kind};
use super::error::Fault;
use super::row::{Brief, bigint, encode, error_text, text};
use super::session::{Patience, Session, Work, perform};
use super::unique::{self, Holders};
use super::window::{RestoreWindows, Windows};
use super::{PostgresLedger, catalog, occurrence, past};
use crate::id::{Seq, TaskId};
use crate::ledger::restored::{self, Edited, Restored};
use crate::ledger::rule::joined_tags;
use crate::ledger::stored::due_at;
use crate::ledger::{
    AfterEdit, Due, Edit, EditAnswer, KeyWindow, LedgerError, Records, RestoreAnswer, RestoredSchedule,
};
use crate::message::Message;
use crate::task::{TaskRecord, TaskState};

#[async_trait]
impl Records for PostgresLedger {
    async fn edit(&self, edits: Vec<Edit>) -> Result<Vec<EditAnswer>, LedgerError> {
        if edits.is_empty() {
            return Ok(Vec::new());
        }
        let answers = perform(&self.pool, &EditAll(&edits)).await?;
        self.wake(false, true);
        Ok(answers)
    }

    async fn restore(&self, tasks: Vec<TaskRecord>) -> Result<Vec<RestoreAnswer>, LedgerError> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let answers = perform(&self.pool, &RestoreAll(&tasks)).await?;
        self.wake(true, true);
        Ok(answers)
    }

    async fn restore_schedules(
        &self,
        schedules: Vec<RestoredSchedule>,
    ) -> Result<Vec<RestoreAnswer>, LedgerError> {
        let mut answers = Vec::with_capacity(schedules.len());
        for schedule in &schedules {
            answers.push(perform(&self.pool, &RestoreSchedule(schedule)).await?);
        }
        self.wake(false, true);
        Ok(answers)
    }

    async fn windows(&self, after: Option<KeyWindow>, limit: usize) -> Result<Vec<KeyWindow>, LedgerError> {
        Ok(perform(&self.pool, &Windows { after, limit }).await?)
    }

    async fn restore_windows(&self, windows: Vec<KeyWindow>) -> Result<Vec<RestoreAnswer>, LedgerError> {
        if windows.is_empty() {
            return Ok(Vec::new());
        }
        Ok(perform(&self.pool, &RestoreWindows(&windows)).await?)
    }
}

/// Edits tasks, all in one transaction.
struct EditAll<'a>(&'a [Edit]);

impl Work for EditAll<'_> {
    const CALL: &'static str = "edit";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<EditAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<EditAnswer>, Fault> {
        session.begin().await?;
        let ids: Vec<TaskId> = self.0.iter().map(|edit| edit.id).collect();
        unique::lock_keys_again(session, &ids).await?;
        let rows = lock(session, &ids).await?;
        let mut holders = Holders::of_ended(session, &rows).await?;
        let mut rows: HashMap<TaskId, Brief> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut replays = Changes::default();
        let mut answers = Vec::with_capacity(self.0.len());
        for edit in self.0 {
            answers.push(match rows.get_mut(&edit.id) {
                Some(row) => edit_one(session, row, edit, &mut holders, &mut replays).await?,
                None => EditAnswer::Unknown,
            });
        }
        replays.write(session).await?;
        session.commit().await?;
        Ok(answers)
    }
}

async fn edit_one(
    session: &Session,
    row: &mut Brief,
    edit: &Edit,
    holders: &mut Holders,
    replays: &mut Changes,
) -> Result<EditAnswer, Fault> {
    let found = Edited { state: row.state, seq: row.seq, has_details: row.has_details };
    if let Some(refused) = restored::refusal(edit, found) {
        return Ok(refused);
    }
    if edit.then == AfterEdit::Replays
        && let Some(by) = holders.take_again(row)
    {
        return Ok(EditAnswer::KeyTaken { by });
    }
    if let Some(message) = &edit.message {
        replace(session, row, &restored::edited(edit.id, row.seq, message)).await?;
    }
    match edit.then {
        AfterEdit::Stays => {
            let sql = "update task set seq = seq + 1, note = $2 where id = $1";
            session.execute(sql, &[&row.id.0, &text(&edit.note)]).await?;
        }
        AfterEdit::Replays => {
            let moved = row.move_to(row.now, &text(&edit.note));
            replays.push(row, &Change { kind: Kind::Revive, attempts: 0, crashes: 0, ..moved })?;
            row.state = TaskState::Scheduled;
        }
        AfterEdit::Waits { due } => {
            replays.push(row, &row.move_to(due_at(due, row.now), &text(&edit.note)))?;
            // A row is written once in a batch: to a twin it is one that was changed.
            row.state = TaskState::Scheduled;
        }
    }
    // A twin in this batch finds what this one left.
    row.seq += 1;
    Ok(EditAnswer::Applied { state: row.state, seq: Seq(row.seq) })
}

/// Another message for a row, which may be of another queue.
async fn replace(session: &Session, row: &Brief, message: &Message) -> Result<(), Fault> {
    // What was counted in the old queue is counted in the new one.
    let count = "insert into tally as c (queue, state, slot, tasks)
        select i.queue, t.state, slot_1(), i.n
        from task t, lateral (values (t.queue, -1), ($2::text, 1)) as i (queue, n)
        where t.id = $1 and t.queue <> $2 order by i.queue
        on conflict (queue, state, slot) do update set tasks = c.tasks + excluded.tasks";
    session.execute(count, &[&row.id.0, &message.queue.as_str()]).await?;
    let sql =
        "update task set name = $2, queue = $3, priority = $4, tags = $5, expires_at = $6 where id = $1";
    let params: [&(dyn ToSql + Sync); 6] = [
        &row.id.0,
        &message.name.as_str(),
        &message.queue.as_str(),
        &i16::from(message.priority.get()),
        &joined_tags(&message.tags).as_deref().map(text),
        &message.must_start_by().map(Timestamp::as_microsecond),
    ];
    session.execute(sql, &params).await?;
    let sql = "update detail d set message = $2 from task t where t.id = $1 and d.task = t.row";
    session.execute(sql, &[&row.id.0, &encode(message)?]).await?;
    Ok(())
}

/// Makes rows of tasks that another ledger recorded.
struct RestoreAll<'a>(&'a [TaskRecord]);

impl Work for RestoreAll<'_> {
    const CALL: &'static str = "restore";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<RestoreAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<RestoreAnswer>, Fault> {
        session.begin().await?;
        let mut sorted: Vec<(usize, &TaskRecord)> = self.0.iter().enumerate().collect();
        // Stable: the first of twins is the one that is restored.
        sorted.sort_by_key(|(_, record)| record.id());
        sorted.dedup_by_key(|(_, record)| record.id());
        let restored: Vec<Restored<'_>> = sorted.iter().map(|(_, record)| Restored::of(record)).collect();
        let rows: Vec<NewRow<'_>> = restored.iter().map(new_row).collect();
        let holders = Holders::of_restored(session, &restored).await?;
        let made = add::insert(session, &rows).await?;
        let mut answers = vec![RestoreAnswer::Exists; self.0.len()];
        let (mut columns, mut told, mut new) = (Past::default(), Vec::new(), Vec::new());
        for (((at, _), restored), made) in sorted.iter().zip(&restored).zip(made) {
            if let Made::New(_) = made {
                answers[*at] = RestoreAnswer::Restored;
                columns.push(restored)?;
                told.extend(restored.has_details.then_some(restored.record));
                new.push(*restored);
            }
        }
        columns.write(session).await?;
        past::restore(session, &told).await?;
        holders.hold_restored(session, &new).await?;
        session.commit().await?;
        Ok(answers)
    }
}

fn new_row<'a>(restored: &Restored<'a>) -> NewRow<'a> {
    let record = restored.record;
    NewRow {
        message: &record.message,
        seq: record.seq(),
        due: record.due_at.map_or(Due::In(Duration::ZERO), Due::At),
        cover: 0,
        note: record.note.as_deref(),
        kind: RowKind::Restored { state: restored.state, has_details: restored.has_details },
    }
}

/// What new rows do not have: when things happened to them, and what their runs left behind. As columns.
#[derive(Default)]
struct Past {
    ids: Vec<Uuid>,
    enqueued: Vec<Option<i64>>,
    started: Vec<Option<i64>>,
    finished: Vec<Option<i64>>,
    errors: Vec<Option<String>>,
    results: Vec<Option<Vec<u8>>>,
}

impl Past {
    fn push(&mut self, restored: &Restored<'_>) -> Result<(), Fault> {
        let record = restored.record;
        let kept = restored.has_details;
        let result = record.result.as_ref().filter(|_| kept).map(rmp_serde::to_vec).transpose();
        self.ids.push(record.id().0);
        self.enqueued.push(restored.enqueued_at);
        self.started.push(restored.started_at);
        self.finished.push(restored.finished_at);
        self.errors.push(record.error.as_ref().filter(|_| kept).map(error_text).transpose()?);
        self.results.push(result.map_err(|error| Fault::Invalid(error.to_string()))?);
        Ok(())
    }

    async fn write(&self, session: &Session) -> Result<(), Fault> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let sql = "with past as (
                select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[])
                    as i (id, enqueued_at, started_at, finished_at, error, result)
            ), dated as (
                update task t set enqueued_at = p.enqueued_at, started_at = p.started_at,
                    finished_at = coalesce(p.finished_at, t.finished_at)
                from past p where t.id = any ($1) and t.id = p.id returning t.row, t.id
            )
            insert into outcome (task, error, result)
            select d.row, p.error, p.result from dated d join past p on p.id = d.id
            where p.error is not null or p.result is not null";
        let params: [&(dyn ToSql + Sync); 6] =
            [&self.ids, &self.enqueued, &self.started, &self.finished, &self.errors, &self.results];
        session.execute(sql, &params).await?;
        Ok(())
    }
}

/// Makes a schedule as it stood in another ledger, with its past.
struct RestoreSchedule<'a>(&'a RestoredSchedule);

impl Work for RestoreSchedule<'_> {
    const CALL: &'static str = "restore_schedule";
    const PATIENCE: Patience = Patience::Long;
    type Answer = RestoreAnswer;

    async fn run(&self, session: &mut Session) -> Result<RestoreAnswer, Fault> {
        session.begin().await?;
        let record = &self.0.record;
        catalog::raise_version(session).await?;
        let definition =
            serde_json::to_string(&record.definition).map_err(|error| Fault::Invalid(error.to_string()))?;
        let incarnation = bigint(record.incarnation);
        let sql = "insert into schedule (id, incarnation, revision, definition, source, cursor, updated_at)
            values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do nothing";
        let params: [&(dyn ToSql + Sync); 7] = [
            &record.id.as_str(),
            &incarnation,
            &bigint(record.revision),
            &definition,
            &text(&record.source),
            &record.cursor.as_microsecond(),
            &record.updated_at.as_microsecond(),
        ];
        if session.execute(sql, &params).await? == 0 {
            session.rollback().await?;
            return Ok(RestoreAnswer::Exists);
        }
        // The next one that is made must not get the same.
        let last = "insert into number (name, value) values ('incarnation', $1)
            on conflict (name) do update set value = greatest(number.value, excluded.value)";
        session.execute(last, &[&incarnation]).await?;
        occurrence::restore(session, self.0).await?;
        session.commit().await?;
        Ok(RestoreAnswer::Restored)
    }
}
