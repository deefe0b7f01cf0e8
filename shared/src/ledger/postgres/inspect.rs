//! Looking at tasks, queues and members.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use tokio_postgres::types::{ToSql, Type};

use super::add;
use super::error::Fault;
use super::row::{RECORD, limit, queue_name, record, state_number, state_of, text};
use super::session::{Patience, Session, Work};
use crate::id::TaskId;
use crate::ledger::limit::KEPT;
use crate::ledger::rule::{DROPPED_BY_RETENTION, MEMBERS};
use crate::ledger::{PageCursor, PurgeReport, QueueRecord, Retention, TaskFilter, TaskPage};
use crate::name::QueueName;
use crate::task::{TaskRecord, TaskState};

use super::row::duration_micros;

/// Some tasks by id.
pub(super) struct Get<'a>(pub(super) &'a [TaskId]);

impl Work for Get<'_> {
    const CALL: &'static str = "get";
    type Answer = Vec<Option<TaskRecord>>;

    async fn run(&self, session: &mut Session) -> Result<Vec<Option<TaskRecord>>, Fault> {
        let mut found = HashMap::with_capacity(self.0.len());
        let ids = add::ids(self.0.iter().copied());
        for row in session.query(&[RECORD, "t.id = any ($1)"].concat(), &[&ids]).await? {
            let record = record(&row)?;
            found.insert(record.id(), record);
        }
        Ok(self.0.iter().map(|id| found.get(id).cloned()).collect())
    }
}

/// The states of some tasks.
pub(super) struct States<'a>(pub(super) &'a [TaskId]);

impl Work for States<'_> {
    const CALL: &'static str = "states";
    type Answer = Vec<Option<TaskState>>;

    async fn run(&self, session: &mut Session) -> Result<Vec<Option<TaskState>>, Fault> {
        let mut found = HashMap::with_capacity(self.0.len());
        let ids = add::ids(self.0.iter().copied());
        for row in session.query("select t.id, t.state from task t where t.id = any ($1)", &[&ids]).await? {
            found.insert(TaskId(row.try_get("id")?), state_of(row.try_get("state")?)?);
        }
        Ok(self.0.iter().map(|id| found.get(id).copied()).collect())
    }
}

/// A page of tasks.
pub(super) struct List<'a> {
    pub(super) filter: &'a TaskFilter,
    pub(super) after: Option<PageCursor>,
    pub(super) limit: usize,
}

impl Work for List<'_> {
    const CALL: &'static str = "list";
    const PATIENCE: Patience = Patience::Long;
    type Answer = TaskPage;

    async fn run(&self, session: &mut Session) -> Result<TaskPage, Fault> {
        let conditions = Conditions::of(self.filter, self.after);
        let sql = format!(
            "{RECORD}{} order by t.row desc limit {}",
            conditions.sql.join(" and "),
            limit(self.limit.saturating_add(1))
        );
        let params: Vec<(&(dyn ToSql + Sync), Type)> = conditions
            .values
            .iter()
            .map(|(value, of)| (value.as_ref() as &(dyn ToSql + Sync), of.clone()))
            .collect();
        let rows = session.query_once(&sql, &params).await?;
        let mut next = None;
        let mut tasks = Vec::with_capacity(rows.len());
        for row in rows.iter().take(self.limit) {
            next = Some(PageCursor(row.try_get("row")?));
            tasks.push(record(row)?);
        }
        Ok(TaskPage { tasks, next: next.filter(|_| rows.len() > self.limit) })
    }
}

/// The filter as SQL. Values are always bound, never written into it.
struct Conditions {
    sql: Vec<String>,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Conditions {
    fn of(filter: &TaskFilter, after: Option<PageCursor>) -> Self {
        let mut all = Self { sql: Vec::new(), values: Vec::new() };
        all.when("t.row < ", after.map_or(i64::MAX, |PageCursor(row)| row), Type::INT8);
        if let Some(queue) = &filter.queue {
            all.when("t.queue = ", queue.as_str().to_owned(), Type::TEXT);
        }
        if let Some(name) = &filter.name {
            all.when("t.name = ", name.as_str().to_owned(), Type::TEXT);
        }
        if let Some(schedule) = &filter.schedule {
            all.when("t.schedule_id = ", schedule.as_str().to_owned(), Type::TEXT);
        }
        if let Some(tag) = &filter.tag {
            all.when("0 < strpos(t.tags, ", text(&format!(",{tag},")), Type::TEXT);
            if let Some(condition) = all.sql.last_mut() {
                condition.push(')');
            }
        }
        if let Some(since) = filter.since.map(Timestamp::as_microsecond) {
            all.when("t.recorded_at >= ", since, Type::INT8);
        }
        all.states(&filter.states);
        all
    }

    fn when(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static, of: Type) {
        self.values.push((Box::new(value), of));
        self.sql.push(format!("{condition}${}", self.values.len()));
    }

    /// No index has the state: the conditions of those that find few rows are added in their own words.
    fn states(&mut self, states: &[TaskState]) {
        if states.is_empty() {
            return;
        }
        let numbers: Vec<i16> = states.iter().map(|state| state_number(*state)).collect();
        let listed: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        self.sql.push(format!("t.state in ({})", listed.join(", ")));
        if numbers.iter().all(|number| *number >= 5) {
            self.sql.push("t.bad".into());
        } else if numbers.iter().all(|number| *number < 2) {
            self.sql.push("t.wake_at is not null".into());
        } else if numbers == [2] {
            self.sql.push("t.id = any (array(select unnest(c.ids) from claimed c))".into());
        }
    }
}

/// Every queue that has tasks or was paused.
pub(super) struct Queues;

impl Work for Queues {
    const CALL: &'static str = "queues";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<QueueRecord>;

    async fn run(&self, session: &mut Session) -> Result<Vec<QueueRecord>, Fault> {
        let sql = "select queue, state, sum(tasks)::bigint as tasks from tally group by queue, state
                having sum(tasks) > 0
            union all select queue, null, null from paused order by queue, state";
        let mut queues: BTreeMap<QueueName, QueueRecord> = BTreeMap::new();
        for row in session.query(sql, &[]).await? {
            let name = queue_name(row.try_get("queue")?)?;
            let record = QueueRecord { name: name.clone(), paused: false, counts: Vec::new() };
            let record = queues.entry(name).or_insert(record);
            match row.try_get::<_, Option<i16>>("state")? {
                Some(state) => {
                    let tasks: i64 = row.try_get("tasks")?;
                    record.counts.push((state_of(state)?, tasks.unsigned_abs()));
                }
                None => record.paused = true,
            }
        }
        Ok(queues.into_values().collect())
    }
}

/// Stops or lets go on the taking of work from a queue.
pub(super) struct Pause<'a> {
    pub(super) queue: &'a QueueName,
    pub(super) paused: bool,
}

impl Work for Pause<'_> {
    const CALL: &'static str = "pause";
    type Answer = ();

    async fn run(&self, session: &mut Session) -> Result<(), Fault> {
        let sql = if self.paused {
            "insert into paused (queue) values ($1) on conflict do nothing"
        } else {
            "delete from paused where queue = $1"
        };
        session.execute(sql, &[&self.queue.as_str()]).await?;
        Ok(())
    }
}

/// The terminal states, in the order of their numbers, which go from 4 to 7.
const ENDED: [TaskState; 4] =
    [TaskState::Succeeded, TaskState::Dead, TaskState::Cancelled, TaskState::Expired];

/// Removes what retention no longer keeps.
pub(super) struct Purge {
    pub(super) retention: Retention,
    pub(super) limit: usize,
}

impl Work for Purge {
    const CALL: &'static str = "purge";
    const PATIENCE: Patience = Patience::Long;
    type Answer = PurgeReport;

    async fn run(&self, session: &mut Session) -> Result<PurgeReport, Fault> {
        let Retention { dead, ids, occurrences, .. } = self.retention;
        let dead = dead.map(duration_micros);
        let [ids, occurrences, members] = [ids, occurrences, MEMBERS].map(duration_micros);
        let details: Vec<Option<i64>> =
            ENDED.iter().map(|state| self.retention.details_of(*state).map(duration_micros)).collect();
        session.query("select limit_mend_1($1)", &[&duration_micros(KEPT)]).await?;
        let row = session
            .query_one(
                "select * from purge_1($1, $2, $3, $4, $5, $6, $7)",
                &[&details, &ids, &occurrences, &members, &limit(self.limit), &dead, &DROPPED_BY_RETENTION],
            )
            .await?;
        let number = |column: &str| Ok::<_, Fault>(row.try_get::<_, i64>(column)?.unsigned_abs());
        Ok(PurgeReport {
            details: number("details")?,
            ids: number("ids")?,
            occurrences: number("occurrences")?,
            windows: number("windows")?,
            dead: number("dead")?,
            more: false,
        })
    }
}
