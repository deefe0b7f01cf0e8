//! What is due: added, leased, marked, postponed.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;

use super::row::Row;
use super::state::{State, Write};
use super::{MemoryLedger, claim, park, reap, unique};
use crate::ledger::rule::{OVERTAKEN, UNCLAIMED, UNCLAIMED_MAX};
use crate::ledger::stored::{due_at, duration_micros, instant};
use crate::ledger::{
    AddAnswer, Agenda, DueBatch, DueEntry, DueReason, LedgerError, Lost, Mark, NewEntry, Park, ParkAnswer,
    Postpone, ReapReport,
};
use crate::name::QueueName;
use crate::task::TaskState;

#[async_trait]
impl Agenda for MemoryLedger {
    async fn add(&self, entries: Vec<NewEntry>) -> Result<Vec<AddAnswer>, LedgerError> {
        Ok(self.write(|write| add(write, entries)))
    }

    async fn due(&self, limit: usize, lease: Duration) -> Result<DueBatch, LedgerError> {
        self.saw_agenda();
        Ok(self.write(|write| due(write, limit, lease)))
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<Vec<bool>, LedgerError> {
        Ok(self.write(|write| marks.into_iter().map(|one| mark(write, one)).collect()))
    }

    async fn postpone(&self, postponed: Vec<Postpone>) -> Result<(), LedgerError> {
        self.write(|write| postponed.into_iter().for_each(|one| postpone(write, one)));
        Ok(())
    }

    async fn park(&self, parks: Vec<Park>) -> Result<Vec<ParkAnswer>, LedgerError> {
        Ok(self.write(|write| park::park(write, parks)))
    }

    async fn reap(&self, lost: Vec<Lost>, max_crashes: u32) -> Result<ReapReport, LedgerError> {
        Ok(self.write(|write| reap::reap(write, &lost, max_crashes)))
    }

    async fn backlog(&self) -> Result<Vec<(QueueName, u64, Duration)>, LedgerError> {
        let now = self.time.now();
        Ok(self.read(|state| backlog(state, now)))
    }

    async fn wait(&self, at_most: Duration) {
        let seen = self.agenda_seen.load(Ordering::Relaxed);
        self.shared.signals.agenda_after(seen, at_most).await;
    }
}

/// Makes rows, scheduled; leaves ids alone that exist.
pub(super) fn add(write: &mut Write<'_>, entries: Vec<NewEntry>) -> Vec<AddAnswer> {
    entries.into_iter().map(|entry| add_one(write, entry)).collect()
}

fn add_one(write: &mut Write<'_>, entry: NewEntry) -> AddAnswer {
    let NewEntry { message, due, cover } = entry;
    if let Some((_, row)) = write.state.find(message.id) {
        return AddAnswer::Exists(row.state);
    }
    if let Some(taken) = unique::take(write, &message) {
        return taken;
    }
    let (seq, now) = (message.seq, write.now());
    let due_at = due_at(due, now);
    let wake_at = Some(due_at.saturating_add(duration_micros(cover)));
    let unique = unique::held_by(&message);
    write.insert(Row { wake_at, unique, ..Row::new(message, TaskState::Scheduled, seq, due_at, now) });
    if cover.is_zero() {
        write.touch_agenda();
    }
    AddAnswer::Added(seq)
}

fn due(write: &mut Write<'_>, limit: usize, lease: Duration) -> DueBatch {
    let now = write.now();
    let leased_until = now.saturating_add(duration_micros(lease));
    let found: Vec<i64> = write.state.due(now).take(limit).collect();
    let mut entries = Vec::with_capacity(found.len());
    for number in found {
        if write.state.row(number).expires_at.is_some_and(|at| at <= now) {
            claim::expire(write, number);
            continue;
        }
        entries.push(entry(write.state, write.state.row(number)));
        write.state.change(number, |row| row.wake_at = Some(leased_until));
    }
    DueBatch { now: instant(now), entries, next: write.state.next_wake().map(instant) }
}

fn entry(state: &State, row: &Row) -> DueEntry {
    let message = row.promoted().expect("only what has ended loses its details");
    let reason = match row.state {
        TaskState::Queued => DueReason::Unclaimed { overtaken: is_overtaken(state, row), looks: row.looks },
        _ => DueReason::Due,
    };
    DueEntry { message, due_at: instant(row.due_at), reason }
}

/// One of its queue and priority that was marked much later has been claimed.
fn is_overtaken(state: &State, row: &Row) -> bool {
    let claimed = state.queues.get(&row.queue).and_then(|queue| queue.claimed(row.priority));
    let (Some(marked), Some(claimed)) = (row.enqueued_at, claimed) else { return false };
    marked.saturating_add(duration_micros(OVERTAKEN)) < claimed
}

fn mark(write: &mut Write<'_>, mark: Mark) -> bool {
    let now = write.now();
    let found = write.state.find(mark.id).filter(|(_, row)| row.seq == mark.seq.0);
    let Some((number, row)) = found else { return false };
    match row.state {
        TaskState::Scheduled => write.state.change(number, |row| {
            row.state = TaskState::Queued;
            row.enqueued_at = Some(now);
            row.wake_at = Some(now.saturating_add(duration_micros(UNCLAIMED)));
            row.looks = 0;
            row.note = None;
        }),
        TaskState::Queued => write.state.change(number, |row| {
            row.looks += 1;
            row.wake_at = Some(now.saturating_add(duration_micros(patience(row.looks))));
        }),
        _ => return false,
    }
    true
}

/// How long a queued entry is left alone that was looked at so often.
fn patience(looks: u32) -> Duration {
    UNCLAIMED.saturating_mul(1 << looks.min(20)).min(UNCLAIMED_MAX)
}

fn postpone(write: &mut Write<'_>, postpone: Postpone) {
    let until = write.now().saturating_add(duration_micros(postpone.by));
    let waits = |row: &Row| matches!(row.state, TaskState::Scheduled | TaskState::Queued);
    let found = write.state.find(postpone.id).filter(|(_, row)| row.seq == postpone.seq.0 && waits(row));
    let Some((number, _)) = found else { return };
    write.state.change(number, |row| {
        row.wake_at = Some(until);
        row.looks += 1;
    });
}

fn backlog(state: &State, now: i64) -> Vec<(QueueName, u64, Duration)> {
    let mut oldest: BTreeMap<&QueueName, i64> = BTreeMap::new();
    for row in state.due(now).map(|number| state.row(number)) {
        let first = oldest.entry(&row.queue).or_insert(row.due_at);
        *first = row.due_at.min(*first);
    }
    let waiting = state.queues.iter().map(|(name, queue)| {
        let tasks = queue.count(TaskState::Scheduled) + queue.count(TaskState::Queued);
        let waits = oldest.get(name).map_or(0, |at| u64::try_from(now - at).unwrap_or(0));
        (name.clone(), tasks, Duration::from_micros(waits))
    });
    waiting.collect()
}
