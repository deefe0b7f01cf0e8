//! What is due: added, leased, marked, postponed.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Row};

use super::row::{self, BEHIND_BRIEF, Brief, New, duration_micros, instant, select_brief, state_number};
use super::tally::Tally;
use super::{EmbeddedLedger, claim, park, reap, unique};
use crate::id::{Seq, TaskId};
use crate::ledger::rule::{self, OVERTAKEN, UNCLAIMED, UNCLAIMED_MAX};
use crate::ledger::stored::due_at;
use crate::ledger::{
    AddAnswer, Agenda, DueBatch, DueEntry, DueReason, LedgerError, Lost, Mark, NewEntry, Park, ParkAnswer,
    Postpone, ReapReport,
};
use crate::name::QueueName;
use crate::sqlite::{SqliteError, Topic, Write};
use crate::task::TaskState;

/// How long an entry is left alone that this program cannot read: a newer one may have written it.
const UNREADABLE: Duration = Duration::from_secs(3600);

#[async_trait]
impl Agenda for EmbeddedLedger {
    async fn add(&self, entries: Vec<NewEntry>) -> Result<Vec<AddAnswer>, LedgerError> {
        let added = self.file.write(move |write| {
            let mut tally = Tally::default();
            let answers = add(write, &mut tally, &entries)?;
            tally.write(write)?;
            Ok(answers)
        });
        Ok(added.await?)
    }

    async fn due(&self, limit: usize, lease: Duration) -> Result<DueBatch, LedgerError> {
        self.saw_agenda(self.signal(Topic::Agenda));
        // An idle beat must not write: it asks on a reading connection whether anything is due at all.
        let now = self.file.now();
        let next = self.file.read(next_wake).await?;
        if next.is_none_or(|next| next > now.as_microsecond()) {
            return Ok(DueBatch { now, entries: Vec::new(), next: next.map(instant) });
        }
        Ok(self.file.write(move |write| due(write, limit, lease)).await?)
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<Vec<bool>, LedgerError> {
        Ok(self.file.write(move |write| mark(write, &marks)).await?)
    }

    async fn postpone(&self, postponed: Vec<Postpone>) -> Result<(), LedgerError> {
        Ok(self.file.write(move |write| postpone(write, &postponed)).await?)
    }

    async fn park(&self, parks: Vec<Park>) -> Result<Vec<ParkAnswer>, LedgerError> {
        Ok(self.file.write(move |write| park::park(write, &parks)).await?)
    }

    async fn reap(&self, lost: Vec<Lost>, max_crashes: u32) -> Result<ReapReport, LedgerError> {
        if lost.is_empty() && !self.file.read(reap::any_ownerless).await? {
            return Ok(ReapReport::default());
        }
        Ok(self.file.write(move |write| reap::reap(write, &lost, max_crashes)).await?)
    }

    async fn backlog(&self) -> Result<Vec<(QueueName, u64, Duration)>, LedgerError> {
        let now = self.file.now().as_microsecond();
        Ok(self.file.read(move |read| backlog(read, now)).await?)
    }

    async fn wait(&self, at_most: Duration) {
        let seen = self.agenda_seen.load(std::sync::atomic::Ordering::Relaxed);
        self.wait_for(Topic::Agenda, Some(seen), at_most).await;
    }
}

/// Makes rows, scheduled; leaves ids alone that exist.
pub(super) fn add(
    write: &Write<'_>,
    tally: &mut Tally,
    entries: &[NewEntry],
) -> Result<Vec<AddAnswer>, SqliteError> {
    let mut answers = Vec::with_capacity(entries.len());
    for entry in entries {
        let message = &entry.message;
        if let Some(row) = row::find(write, message.id)? {
            answers.push(AddAnswer::Exists(row.state));
            continue;
        }
        if let Some(taken) = unique::take(write, tally, message)? {
            answers.push(taken);
            continue;
        }
        let due_at = due_at(entry.due, write.now());
        let wake_at = Some(due_at.saturating_add(duration_micros(entry.cover)));
        let (state, seq) = (TaskState::Scheduled, message.seq);
        let row = row::insert(write, tally, &New { message, state, seq, due_at, wake_at, note: None })?;
        unique::write_key(write, row, message)?;
        if entry.cover.is_zero() {
            write.touch(Topic::Agenda);
        }
        answers.push(AddAnswer::Added(seq));
    }
    Ok(answers)
}

fn next_wake(read: &Connection) -> Result<Option<i64>, SqliteError> {
    let sql = "SELECT min(wake_at) FROM task WHERE wake_at IS NOT NULL";
    Ok(read.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// An entry as the agenda's query finds it.
struct Found {
    brief: Brief,
    looks: u32,
    message: Vec<u8>,
    overtaken: bool,
}

fn due(write: &Write<'_>, limit: usize, lease: Duration) -> Result<DueBatch, SqliteError> {
    let now = write.now();
    let mut tally = Tally::default();
    let mut entries = Vec::new();
    let mut put_off = write.prepare_cached("UPDATE task SET wake_at = ?2 WHERE row = ?1")?;
    for found in find_due(write, limit)? {
        if found.brief.expires_at.is_some_and(|at| at <= now) {
            claim::expire(write, &mut tally, &found.brief)?;
            continue;
        }
        let row = found.brief.row;
        let wait = match found.into_entry() {
            Ok(entry) => {
                entries.push(entry);
                lease
            }
            // It must not keep those behind it waiting.
            Err(error) => {
                tracing::error!(row, %error, "an entry of the agenda cannot be read; it is looked at again in an hour");
                UNREADABLE
            }
        };
        put_off.execute((row, now.saturating_add(duration_micros(wait))))?;
    }
    tally.write(write)?;
    Ok(DueBatch { now: instant(now), entries, next: next_wake(write)?.map(instant) })
}

fn find_due(write: &Write<'_>, limit: usize) -> Result<Vec<Found>, SqliteError> {
    let mut select = write.prepare_cached(select_brief!(
        ", t.looks, d.message, t.enqueued_at + ?3 < p.enqueued_at",
        "JOIN detail d ON d.task = t.row
            LEFT JOIN progress p ON p.queue = t.queue AND p.priority = t.priority
         WHERE t.wake_at IS NOT NULL AND t.wake_at <= ?1 ORDER BY t.wake_at LIMIT ?2"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = select.query((write.now(), limit, duration_micros(OVERTAKEN)))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(found(row)?);
    }
    Ok(all)
}

fn found(row: &Row<'_>) -> Result<Found, SqliteError> {
    let overtaken: Option<bool> = row.get(BEHIND_BRIEF + 2)?;
    Ok(Found {
        brief: row::brief(row)?,
        looks: row.get(BEHIND_BRIEF)?,
        message: row.get(BEHIND_BRIEF + 1)?,
        overtaken: overtaken.unwrap_or(false),
    })
}

impl Found {
    fn into_entry(self) -> Result<DueEntry, SqliteError> {
        let mut message = row::decode(&self.message)?;
        message.seq = Seq(self.brief.seq);
        message.attempts = self.brief.attempts;
        message.crashes = self.brief.crashes;
        rule::keep_times(&mut message, self.brief.expires_at);
        let reason = match self.brief.state {
            TaskState::Queued => DueReason::Unclaimed { overtaken: self.overtaken, looks: self.looks },
            _ => DueReason::Due,
        };
        let due_at = instant(self.brief.due_at.unwrap_or_default());
        Ok(DueEntry { message, due_at, reason })
    }
}

fn mark(write: &Write<'_>, marks: &[Mark]) -> Result<Vec<bool>, SqliteError> {
    let mut tally = Tally::default();
    // A plain look and an update by row: RETURNING would open a table of its own for each mark.
    let mut find = write.prepare_cached("SELECT row, queue, state FROM task WHERE id = ?1 AND seq = ?2")?;
    let mut first = write.prepare_cached(
        "UPDATE task SET state = 1, enqueued_at = ?2, wake_at = ?3, looks = 0, note = NULL WHERE row = ?1",
    )?;
    let mut again = write.prepare_cached(
        "UPDATE task SET wake_at = ?2 + min(?3 << min(looks + 1, 20), ?4), looks = looks + 1 WHERE row = ?1",
    )?;
    let (patience, longest) = (duration_micros(UNCLAIMED), duration_micros(UNCLAIMED_MAX));
    let (scheduled, queued) = (state_number(TaskState::Scheduled), state_number(TaskState::Queued));
    let now = write.now();
    let mut answers = Vec::with_capacity(marks.len());
    for Mark { id, seq } in marks {
        let mut rows = find.query((id.0.as_bytes(), seq.0))?;
        let Some(found) = rows.next()? else {
            answers.push(false);
            continue;
        };
        let (row, state): (i64, i64) = (found.get(0)?, found.get(2)?);
        if state == scheduled {
            let queue =
                found.get_ref(1)?.as_str().map_err(|error| SqliteError::Invalid(error.to_string()))?;
            tally.step(queue, scheduled, queued);
        }
        drop(rows);
        if state == scheduled {
            first.execute((row, now, now.saturating_add(patience)))?;
        } else if state == queued {
            again.execute((row, now, patience, longest))?;
        }
        answers.push(state == scheduled || state == queued);
    }
    tally.write(write)?;
    Ok(answers)
}

fn postpone(write: &Write<'_>, postponed: &[Postpone]) -> Result<(), SqliteError> {
    let mut update = write.prepare_cached(
        "UPDATE task SET wake_at = ?3, looks = looks + 1 WHERE id = ?1 AND seq = ?2 AND state IN (0, 1)",
    )?;
    for Postpone { id: TaskId(id), seq, by } in postponed {
        update.execute((id.as_bytes(), seq.0, write.now().saturating_add(duration_micros(*by))))?;
    }
    Ok(())
}

fn backlog(read: &Connection, now: i64) -> Result<Vec<(QueueName, u64, Duration)>, SqliteError> {
    let mut select = read.prepare_cached(
        "SELECT queue, sum(tasks),
            (SELECT min(due_at) FROM task t WHERE t.wake_at IS NOT NULL AND t.wake_at <= ?1 AND t.queue = tally.queue)
         FROM tally WHERE state IN (0, 1) GROUP BY queue ORDER BY queue",
    )?;
    let rows = select.query_map([now], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    let mut backlog = Vec::new();
    for row in rows {
        let (queue, tasks, oldest) = row?;
        let queue = QueueName::new(queue).map_err(|error| SqliteError::Invalid(error.to_string()))?;
        let waits = Duration::from_micros(u64::try_from(oldest.map_or(0, |at| now - at)).unwrap_or(0));
        backlog.push((queue, u64::try_from(tasks).unwrap_or(0), waits));
    }
    Ok(backlog)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::ledger::embedded::EmbeddedOptions;
    use crate::ledger::{Due, Inspect, TaskFilter};
    use crate::message::{Message, Payload};
    use crate::name::TaskName;
    use crate::sqlite::SqliteFile;
    use std::sync::Arc;

    fn entry(id: &str) -> NewEntry {
        let name = TaskName::new("a").unwrap();
        let args = Payload::json(&1).unwrap();
        let message = Message::new(id.parse().unwrap(), name, QueueName::default_queue(), args);
        NewEntry { message, due: Due::In(Duration::ZERO), cover: Duration::ZERO }
    }

    #[tokio::test]
    async fn an_entry_that_cannot_be_read_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock::default());
        let file = SqliteFile::open(&directory.path().join("a.sqlite3"), clock).unwrap();
        let ledger = EmbeddedLedger::open(file.clone(), EmbeddedOptions::default()).await.unwrap();
        let broken = entry("0198a2f0-0000-7000-8000-000000000001");
        let sound = entry("0198a2f0-0000-7000-8000-000000000002");
        ledger.add(vec![broken, sound.clone()]).await.unwrap();
        let spoil =
            |write: &Write<'_>| Ok(write.execute("UPDATE detail SET message = x'c1' WHERE task = 1", [])?);
        assert_eq!(file.write(spoil).await.unwrap(), 1);

        let batch = ledger.due(10, Duration::ZERO).await.unwrap();
        let again = ledger.due(10, Duration::ZERO).await.unwrap();

        for batch in [batch, again] {
            let ids: Vec<_> = batch.entries.iter().map(|entry| entry.message.id).collect();
            assert_eq!(ids, [sound.message.id]);
        }
        let listed = ledger.list(TaskFilter::default(), None, 10).await.unwrap().tasks;
        assert_eq!(listed.len(), 2, "a listing shows what is left of it");
    }
}
