//! What is due: leased, marked, postponed, counted.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Fault;
use super::row::{count, decode, duration_micros, instant, limit, queue_name, state_of};
use super::session::{Patience, Session, Work};
use crate::id::{Seq, TaskId};
use crate::ledger::rule::{self, OVERTAKEN, UNCLAIMED, UNCLAIMED_MAX};
use crate::ledger::{DueBatch, DueEntry, DueReason, Mark, Postpone};
use crate::name::QueueName;
use crate::task::TaskState;

/// How long an entry is left alone that this program cannot read: a newer one may have written it.
const UNREADABLE: Duration = Duration::from_secs(3600);

/// Leases what is due.
pub(super) struct LeaseDue {
    pub(super) limit: usize,
    pub(super) lease: Duration,
}

impl Work for LeaseDue {
    const CALL: &'static str = "due";
    type Answer = DueBatch;

    async fn run(&self, session: &mut Session) -> Result<DueBatch, Fault> {
        let (lease, overtaken) = (duration_micros(self.lease), duration_micros(OVERTAKEN));
        let mut rows = session
            .query("select * from due_1($1, $2, $3)", &[&limit(self.limit), &lease, &overtaken])
            .await?;
        let last = rows.pop().ok_or_else(|| Fault::Invalid("Postgres did not tell the time".into()))?;
        let mut entries = Vec::with_capacity(rows.len());
        let mut unreadable = Vec::new();
        for row in &rows {
            match entry(row) {
                Ok(entry) => entries.push(entry),
                // It must not keep those behind it waiting.
                Err(error) => {
                    let task = TaskId(row.try_get("id")?);
                    let error = crate::ledger::LedgerError::from(error);
                    tracing::error!(%task, %error, "an entry of the agenda cannot be read; it is looked at again in an hour");
                    unreadable.push(task.0);
                }
            }
        }
        if !unreadable.is_empty() {
            let later =
                "update task set wake_at = (select now_us()) + $2 where id = any ($1) and state in (0, 1)";
            session.execute(later, &[&unreadable, &duration_micros(UNREADABLE)]).await?;
        }
        let next: Option<i64> = last.try_get("due_at")?;
        Ok(DueBatch { now: instant(last.try_get("now")?), entries, next: next.map(instant) })
    }
}

fn entry(row: &Row) -> Result<DueEntry, Fault> {
    let encoded: Option<&[u8]> = row.try_get("message")?;
    let encoded = encoded.ok_or_else(|| Fault::Invalid("its message is missing".into()))?;
    let mut message = decode(encoded)?;
    message.seq = Seq(row.try_get("seq")?);
    message.attempts = count(row, "attempts")?;
    message.crashes = count(row, "crashes")?;
    rule::keep_times(&mut message, row.try_get("expires_at")?);
    let reason = match state_of(row.try_get("state")?)? {
        TaskState::Queued => {
            DueReason::Unclaimed { overtaken: row.try_get("overtaken")?, looks: count(row, "looks")? }
        }
        _ => DueReason::Due,
    };
    let due_at = instant(row.try_get::<_, Option<i64>>("due_at")?.unwrap_or_default());
    Ok(DueEntry { message, due_at, reason })
}

/// Distinct pairs of id and seq, sorted, and where each stands.
fn distinct(pairs: impl Iterator<Item = (TaskId, Seq)>) -> (Vec<Uuid>, Vec<i64>) {
    let mut all: Vec<(TaskId, Seq)> = pairs.collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|(id, seq)| (id.0, seq.0)).unzip()
}

/// Marks entries as queued.
pub(super) struct MarkAll<'a>(pub(super) &'a [Mark]);

impl Work for MarkAll<'_> {
    const CALL: &'static str = "mark";
    type Answer = Vec<bool>;

    async fn run(&self, session: &mut Session) -> Result<Vec<bool>, Fault> {
        let (ids, seqs) = distinct(self.0.iter().map(|mark| (mark.id, mark.seq)));
        let (patience, longest) = (duration_micros(UNCLAIMED), duration_micros(UNCLAIMED_MAX));
        let sql = "select mark_1($1, $2, $3, $4)";
        let mut marked = HashMap::with_capacity(ids.len());
        for row in session.query(sql, &[&ids, &seqs, &patience, &longest]).await? {
            let at = usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX);
            if let (Some(id), Some(seq)) = (ids.get(at), seqs.get(at)) {
                marked.insert((TaskId(*id), Seq(*seq)), ());
            }
        }
        Ok(self.0.iter().map(|mark| marked.contains_key(&(mark.id, mark.seq))).collect())
    }
}

/// Puts off the next look at entries.
pub(super) struct PostponeAll<'a>(pub(super) &'a [Postpone]);

impl Work for PostponeAll<'_> {
    const CALL: &'static str = "postpone";
    type Answer = ();

    async fn run(&self, session: &mut Session) -> Result<(), Fault> {
        let by: HashMap<(TaskId, Seq), i64> =
            self.0.iter().map(|one| ((one.id, one.seq), duration_micros(one.by))).collect();
        let (ids, seqs) = distinct(by.keys().copied());
        let by: Vec<i64> = ids.iter().zip(&seqs).map(|(id, seq)| by[&(TaskId(*id), Seq(*seq))]).collect();
        session.query("select postpone_1($1, $2, $3)", &[&ids, &seqs, &by]).await?;
        Ok(())
    }
}

/// What waits, by queue. The longest wait is sought among the entries that are due for the longest.
pub(super) struct Backlog;

impl Work for Backlog {
    const CALL: &'static str = "backlog";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<(QueueName, u64, Duration)>;

    async fn run(&self, session: &mut Session) -> Result<Self::Answer, Fault> {
        let sql = "with now as materialized (select now_us() as now), oldest as materialized (
                select d.queue, min(d.due_at) as due_at
                from (
                    select t.queue, t.due_at from task t
                    where t.wake_at is not null and t.wake_at <= (select now from now) order by t.wake_at limit 100000
                ) d group by d.queue
            ), waiting as materialized (
                select queue, sum(tasks)::bigint as tasks from tally where state in (0, 1) group by queue
            )
            select w.queue, w.tasks, (select now from now) - o.due_at as waits
            from waiting w left join oldest o on o.queue = w.queue order by w.queue";
        let rows = session.query(sql, &[]).await?;
        let backlog = rows.iter().map(|row| {
            let waits: Option<i64> = row.try_get("waits")?;
            let waits = Duration::from_micros(waits.and_then(|waits| u64::try_from(waits).ok()).unwrap_or(0));
            let tasks: i64 = row.try_get("tasks")?;
            Ok((queue_name(row.try_get("queue")?)?, u64::try_from(tasks).unwrap_or(0), waits))
        });
        backlog.collect()
    }
}

/// The store's time.
pub(super) struct Now;

impl Work for Now {
    const CALL: &'static str = "now";
    type Answer = Timestamp;

    async fn run(&self, session: &mut Session) -> Result<Timestamp, Fault> {
        Ok(instant(session.query_one("select now_us()", &[]).await?.try_get(0)?))
    }
}
