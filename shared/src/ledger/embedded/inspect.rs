//! Looking at tasks, queues and members.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::row::{RECORD, RECORD_FROM, record, state_number, state_of};
use super::{EmbeddedLedger, act, limit, member, purge};
use crate::id::TaskId;
use crate::ledger::{
    ActAnswer, Action, Inspect, LedgerError, LimitRecord, PageCursor, PurgeReport, QueueRecord, Retention,
    TaskFilter, TaskPage,
};
use crate::member::MemberRecord;
use crate::name::QueueName;
use crate::sqlite::{SqliteError, Topic};
use crate::task::TaskRecord;

#[async_trait]
impl Inspect for EmbeddedLedger {
    async fn get(&self, ids: Vec<TaskId>) -> Result<Vec<Option<TaskRecord>>, LedgerError> {
        Ok(self.file.read(move |read| get(read, &ids)).await?)
    }

    async fn list(
        &self,
        filter: TaskFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<TaskPage, LedgerError> {
        Ok(self.file.read(move |read| list(read, &filter, after, limit)).await?)
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, LedgerError> {
        Ok(self.file.read(queues).await?)
    }

    async fn limits(&self, most: usize) -> Result<Vec<LimitRecord>, LedgerError> {
        let now = self.file.now().as_microsecond();
        Ok(self.file.read(move |read| limit::list(read, most, now)).await?)
    }

    async fn members(&self) -> Result<Vec<MemberRecord>, LedgerError> {
        Ok(self.file.read(member::list).await?)
    }

    async fn act(&self, ids: Vec<TaskId>, action: Action) -> Result<Vec<ActAnswer>, LedgerError> {
        Ok(self.file.write(move |write| act::act(write, &ids, &action)).await?)
    }

    async fn pause(&self, queue: QueueName, paused: bool) -> Result<(), LedgerError> {
        let change = self.file.write(move |write| {
            let sql = if paused {
                "INSERT OR IGNORE INTO paused (queue) VALUES (?1)"
            } else {
                "DELETE FROM paused WHERE queue = ?1"
            };
            write.prepare_cached(sql)?.execute([queue.as_str()])?;
            Ok(())
        });
        Ok(change.await?)
    }

    async fn purge(&self, retention: Retention, limit: usize) -> Result<PurgeReport, LedgerError> {
        Ok(self.file.write(move |write| purge::purge(write, &retention, limit)).await?)
    }

    async fn wait(&self, at_most: Duration) {
        self.wait_for(Topic::Ended, None, at_most).await;
    }
}

fn get(read: &Connection, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, SqliteError> {
    let mut select = read.prepare_cached(&format!("SELECT {RECORD} {RECORD_FROM} WHERE t.id = ?1"))?;
    let mut records = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = select.query([id.0.as_bytes()])?;
        records.push(rows.next()?.map(record).transpose()?.map(|(_, record)| record));
    }
    Ok(records)
}

fn list(
    read: &Connection,
    filter: &TaskFilter,
    after: Option<PageCursor>,
    limit: usize,
) -> Result<TaskPage, SqliteError> {
    let (conditions, values) = conditions(filter, after);
    let sql = format!(
        "SELECT {RECORD} {RECORD_FROM} WHERE {conditions} ORDER BY t.row DESC LIMIT {}",
        limit.saturating_add(1)
    );
    let mut select = read.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut tasks = Vec::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        if tasks.len() == limit {
            return Ok(TaskPage { tasks, next: last });
        }
        let (number, record) = record(row)?;
        last = Some(PageCursor(number));
        tasks.push(record);
    }
    Ok(TaskPage { tasks, next: None })
}

/// The first of the states that the index of those that ended badly holds.
const ENDED_BADLY: i64 = 5;

/// The filter as SQL. Values are always bound, never written into it.
fn conditions(filter: &TaskFilter, after: Option<PageCursor>) -> (String, Vec<Value>) {
    let mut sql = vec!["true".to_owned()];
    let mut values = Vec::new();
    let mut when = |condition: &str, value: Value| {
        sql.push(condition.to_owned());
        values.push(value);
    };
    if let Some(PageCursor(row)) = after {
        when("t.row < ?", row.into());
    }
    if let Some(queue) = &filter.queue {
        when("t.queue = ?", queue.as_str().to_owned().into());
    }
    if let Some(name) = &filter.name {
        when("t.name = ?", name.as_str().to_owned().into());
    }
    if let Some(schedule) = &filter.schedule {
        when("t.schedule_id = ?", schedule.as_str().to_owned().into());
    }
    if let Some(tag) = &filter.tag {
        when("instr(t.tags, ?) > 0", format!(",{tag},").into());
    }
    if let Some(since) = filter.since.map(Timestamp::as_microsecond) {
        when("t.recorded_at >= ?", since.into());
    }
    if !filter.states.is_empty() {
        let states: Vec<String> =
            filter.states.iter().map(|state| state_number(*state).to_string()).collect();
        sql.push(format!("t.state IN ({})", states.join(", ")));
        if filter.states.iter().all(|state| state_number(*state) >= ENDED_BADLY) {
            // In the words of the index, or it is not used.
            sql.push("t.state >= 5".to_owned());
        }
    }
    (sql.join(" AND "), values)
}

fn queues(read: &Connection) -> Result<Vec<QueueRecord>, SqliteError> {
    let mut queues = BTreeMap::new();
    let mut select =
        read.prepare_cached("SELECT queue, state, tasks FROM tally WHERE tasks > 0 ORDER BY queue, state")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let name = queue_name(row.get(0)?)?;
        let count = (state_of(row.get(1)?)?, row.get::<_, i64>(2)?.unsigned_abs());
        let entry: &mut QueueRecord = queues.entry(name.clone()).or_insert_with(|| new_record(name));
        entry.counts.push(count);
    }
    for name in member::paused(read)? {
        queues.entry(name.clone()).or_insert_with(|| new_record(name)).paused = true;
    }
    Ok(queues.into_values().collect())
}

fn new_record(name: QueueName) -> QueueRecord {
    QueueRecord { name, paused: false, counts: Vec::new() }
}

fn queue_name(text: String) -> Result<QueueName, SqliteError> {
    QueueName::new(text).map_err(|error| SqliteError::Invalid(error.to_string()))
}
