//! What must hold in every history, checked where the store itself is touched, before any fault can hide it. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::id::{Fence, OwnerId, Seq, TaskId, Token};
use upbeat_shared::ledger::memory::MemoryLedger;
use upbeat_shared::ledger::{
    AddAnswer, Advance, AdvanceAnswer, ClaimAnswer, Due, DueBatch, DueReason, Inspect, Lost, Mark, NewEntry,
    OwnedClaim, ParkAnswer, SettleAnswer, Settlement,
};
use upbeat_shared::name::QueueName;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::Verdict;

use super::hearts::Hearts;
use super::rows::{all, rows};
use crate::testing::world::at_once;

/// What was broken, and what is known of every task.
#[derive(Debug, Default)]
pub(super) struct Law(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    broken: Vec<String>,
    tasks: BTreeMap<TaskId, Known>,
    /// What the broker confirmed.
    confirmed: BTreeSet<(TaskId, Seq)>,
    /// Claims whose handler has begun.
    begun: BTreeSet<(TaskId, Fence)>,
    hearts: Hearts,
    /// How many tasks of a queue may run at once.
    running: BTreeMap<QueueName, u32>,
}

/// What the calls that took effect say of a task.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The claim that holds, as far as is known.
    live: Option<(OwnerId, OwnedClaim)>,
    newest: Option<Fence>,
    /// Claims that their own settle ended.
    settled: BTreeSet<(Fence, i64)>,
    /// Claims that ended otherwise: given back, or their worker was lost.
    lost: u64,
    /// It must not start before this.
    not_before: Option<Timestamp>,
    queue: Option<QueueName>,
}

/// What a law-abiding ledger says of one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) settled: u64,
    pub(super) lost: u64,
}

impl Law {
    /// What was broken so far.
    pub(super) fn broken(&self) -> Vec<String> {
        self.book().broken.clone()
    }

    pub(super) fn is_broken(&self) -> bool {
        !self.book().broken.is_empty()
    }

    pub(super) fn breaks(&self, what: String) {
        self.book().broken.push(what);
    }

    /// How the claims of a task ended.
    pub(super) fn account(&self, id: TaskId) -> Account {
        let book = self.book();
        let Some(known) = book.tasks.get(&id) else { return Account::default() };
        Account { settled: known.settled.len() as u64, lost: known.lost }
    }

    /// No more tasks of this queue may run at once.
    pub(super) fn limit(&self, queue: QueueName, running: u32) {
        self.book().running.insert(queue, running);
    }

    /// The handler of a claim begins.
    pub(super) fn begins(&self, id: TaskId, fence: Fence) {
        if !self.book().begun.insert((id, fence)) {
            self.breaks(format!("task {id}: the claim with the fence {} ran twice", fence.0));
        }
    }

    pub(super) fn beats(&self, owner: OwnerId, counter: u64, lease: Duration, now: Timestamp) {
        self.book().hearts.beats(owner, counter, lease, now);
    }

    /// Nobody can reach the ledger.
    pub(super) fn away(&self, from: Timestamp, to: Timestamp) {
        self.book().hearts.away(from, to);
    }

    /// Only who was silent is lost.
    pub(super) fn retires(&self, judged: &[Lost], retired: &[OwnerId], now: Timestamp) {
        let mut book = self.book();
        let wrong = book.hearts.retires(judged, retired, now);
        book.broken.extend(wrong);
    }

    /// What a worker gives back unasked, nobody there runs.
    pub(super) fn releases(&self, claims: &[OwnedClaim]) {
        let mut book = self.book();
        for claim in claims {
            let holds = book
                .tasks
                .get(&claim.id)
                .and_then(|known| known.live)
                .is_some_and(|(_, live)| live == *claim);
            if holds && book.begun.contains(&(claim.id, claim.fence)) {
                let (id, fence) = (claim.id, claim.fence.0);
                book.breaks(format!(
                    "task {id}: its worker swept away the claim with the fence {fence}, which it ran"
                ));
            }
        }
    }

    pub(super) fn confirmed(&self, id: TaskId, seq: Seq) {
        self.book().confirmed.insert((id, seq));
    }

    pub(super) fn added(&self, now: Timestamp, entries: &[(TaskId, Due)], answers: &[AddAnswer]) {
        let mut book = self.book();
        for ((id, due), answer) in entries.iter().zip(answers) {
            if matches!(answer, AddAnswer::Added(_)) {
                book.tasks.entry(*id).or_default().not_before = Some(due_at(*due, now));
            }
        }
    }

    /// One claim at a time, with growing fences, and none before its time.
    pub(super) fn claimed(
        &self,
        owner: OwnerId,
        asked: &[(TaskId, Token, QueueName)],
        answers: &[ClaimAnswer],
    ) {
        let mut book = self.book();
        for ((id, token, queue), answer) in asked.iter().zip(answers) {
            let ClaimAnswer::Acquired(claim) = answer else { continue };
            if book.hearts.is_retired(owner) {
                book.breaks(format!("task {id}: {owner} acquired it, which was declared lost"));
            }
            let known = book.tasks.entry(*id).or_default();
            let this = (owner, OwnedClaim { id: *id, fence: claim.fence, token: *token });
            let before = known.clone();
            (known.live, known.newest, known.queue) = (Some(this), Some(claim.fence), Some(queue.clone()));
            if before.live == Some(this) {
                continue;
            }
            if let Some((other, held)) = before.live {
                book.breaks(format!(
                    "task {id}: {owner} acquired it while {other} holds it with fence {}",
                    held.fence.0
                ));
            }
            if before.newest.is_some_and(|newest| newest >= claim.fence) {
                book.breaks(format!("task {id}: the fence {} is not newer than the last", claim.fence.0));
            }
            book.counts(queue);
            if let Some(not_before) = before.not_before.filter(|not_before| claim.at < *not_before) {
                book.breaks(format!("task {id} started at {}, and is due at {not_before}", claim.at));
            }
        }
    }

    /// A claim repeated with its token gets the same right.
    pub(super) fn repeated_claim(&self, first: &[ClaimAnswer], second: &[ClaimAnswer]) {
        for (first, second) in first.iter().zip(second) {
            if let (ClaimAnswer::Acquired(one), again) = (first, second) {
                let same = matches!(again, ClaimAnswer::Acquired(other) if other.fence == one.fence);
                if !same {
                    self.breaks(format!(
                        "a claim with the fence {} was repeated, and answered {again:?}",
                        one.fence.0
                    ));
                }
            }
        }
    }

    /// A settle repeated says that it was settled.
    pub(super) fn repeated_settle(&self, first: &[SettleAnswer], second: &[SettleAnswer]) {
        for (first, second) in first.iter().zip(second) {
            if matches!(first, SettleAnswer::Applied(_)) && *second != SettleAnswer::AlreadySettled {
                self.breaks(format!("a settle that applied was repeated, and answered {second:?}"));
            }
        }
    }

    /// A verdict applies only to the claim that holds, and to that one it does.
    pub(super) fn settled(&self, now: Timestamp, settlements: &[Settlement], answers: &[SettleAnswer]) {
        let mut book = self.book();
        for (settlement, answer) in settlements.iter().zip(answers) {
            let claim = settlement.claim;
            let (id, fence) = (claim.id, claim.fence.0);
            let known = book.tasks.entry(id).or_default();
            let holds = known.live.is_some_and(|(_, live)| live == claim);
            match answer {
                SettleAnswer::Applied(state) => {
                    known.live = None;
                    known.settled.insert((claim.fence, claim.token.0));
                    if *state == TaskState::Scheduled {
                        let due = clock::later(now, delay(&settlement.verdict));
                        known.not_before = Some(clock::whole_micros(due));
                    }
                    if !holds {
                        book.breaks(format!(
                            "task {id}: a verdict with the fence {fence} applied, which holds no claim"
                        ));
                    }
                }
                SettleAnswer::AlreadySettled if !known.settled.contains(&(claim.fence, claim.token.0)) => {
                    book.breaks(format!(
                        "task {id}: the fence {fence} was told that it had settled, and had not"
                    ));
                }
                SettleAnswer::Stale if holds => {
                    book.breaks(format!(
                        "task {id}: the verdict of the claim that holds, with fence {fence}, was refused"
                    ));
                }
                SettleAnswer::AlreadySettled | SettleAnswer::Stale => {}
            }
        }
    }

    /// Only what the broker confirmed, and only where it stands as it did.
    pub(super) fn marked(&self, marks: &[Mark], before: &[Option<TaskRecord>], answers: &[bool]) {
        let mut book = self.book();
        for ((mark, before), _) in marks.iter().zip(before).zip(answers).filter(|(_, applied)| **applied) {
            let (id, seq) = (mark.id, mark.seq.0);
            if !book.confirmed.contains(&(id, mark.seq)) {
                book.breaks(format!(
                    "task {id}: marked as queued with the seq {seq}, which the broker never confirmed"
                ));
            }
            let waits = |record: &TaskRecord| {
                record.seq() == mark.seq && matches!(record.state, TaskState::Scheduled | TaskState::Queued)
            };
            if !before.as_ref().is_some_and(waits) {
                book.breaks(format!(
                    "task {id}: marked as queued with the seq {seq}, though it had moved or begun"
                ));
            }
        }
    }

    /// Nothing is given to a beat before its time.
    pub(super) fn leased(&self, batch: &DueBatch) {
        let mut book = self.book();
        for entry in batch.entries.iter().filter(|entry| entry.reason == DueReason::Due) {
            if entry.due_at > batch.now {
                book.breaks(format!("task {} was promoted before it was due", entry.message.id));
            }
        }
    }

    pub(super) fn parked(&self, ids: &[TaskId], answers: &[ParkAnswer]) {
        let mut book = self.book();
        for (id, answer) in ids.iter().zip(answers) {
            if let ParkAnswer::Parked(until) = answer {
                book.tasks.entry(*id).or_default().not_before = Some(*until);
            }
        }
    }

    /// A cursor moves from where it stands, and never past the store's time.
    pub(super) fn advanced(
        &self,
        advances: &[(Advance, Option<Timestamp>)],
        now: Timestamp,
        answers: &[AdvanceAnswer],
    ) {
        let mut book = self.book();
        for ((advance, cursor), answer) in advances.iter().zip(answers) {
            if !matches!(answer, AdvanceAnswer::Advanced(_)) {
                continue;
            }
            if *cursor != Some(advance.from) {
                book.breaks(format!(
                    "schedule {}: its cursor was moved from where it did not stand",
                    advance.id
                ));
            }
            if advance.to > now {
                book.breaks(format!("schedule {}: its cursor passed the store's time", advance.id));
            }
            for NewEntry { message, due, .. } in &advance.fire {
                let known = book.tasks.entry(message.id).or_default();
                known.not_before.get_or_insert(due_at(*due, now));
            }
        }
    }

    /// Claims may have ended without a verdict: rows say which, and that these may start at once.
    pub(super) fn ended_otherwise(&self, raw: &MemoryLedger) {
        let mut book = self.book();
        let holding = book.tasks.iter().filter(|(_, known)| known.live.is_some());
        let ids: Vec<TaskId> = holding.map(|(id, _)| *id).collect();
        for (id, row) in ids.iter().zip(rows(raw, &ids)) {
            let known = book.tasks.entry(*id).or_default();
            let fence = known.live.map(|(_, live)| live.fence);
            let goes_on = row.is_some_and(|row| row.state == TaskState::Running && row.fence == fence);
            if !goes_on {
                (known.live, known.not_before) = (None, None);
                known.lost += 1;
            }
        }
    }

    /// A person made these due at once.
    pub(super) fn hurried(&self, ids: &[TaskId]) {
        let mut book = self.book();
        for id in ids {
            book.tasks.entry(*id).or_default().not_before = None;
        }
    }

    /// The counters say what the rows say.
    pub(super) fn tallied(&self, raw: &MemoryLedger) {
        let mut counted = BTreeMap::new();
        for task in all(raw) {
            *counted.entry((task.message.queue.clone(), task.state)).or_insert(0_u64) += 1;
        }
        let queues = at_once(raw.queues()).expect("a ledger in memory does not fail");
        let told: BTreeMap<_, _> = queues
            .into_iter()
            .flat_map(|queue| {
                queue.counts.into_iter().map(move |(state, count)| ((queue.name.clone(), state), count))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        if told != counted {
            self.breaks(format!("the ledger counts {told:?}, and has {counted:?}"));
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("no holder of the book panics")
    }
}

impl Book {
    /// Limits hold.
    fn counts(&mut self, queue: &QueueName) {
        let Some(limit) = self.running.get(queue).copied() else { return };
        let runs = |known: &&Known| known.live.is_some() && known.queue.as_ref() == Some(queue);
        let running = self.tasks.values().filter(runs).count();
        if running > limit as usize {
            self.breaks(format!("{running} tasks of the queue {queue} run, of which {limit} may"));
        }
    }

    fn breaks(&mut self, what: String) {
        self.broken.push(what);
    }
}

fn due_at(due: Due, now: Timestamp) -> Timestamp {
    match due {
        Due::At(at) => clock::whole_micros(at),
        Due::In(delay) => clock::later(now, delay),
    }
}

/// By how much a verdict puts its task off.
fn delay(verdict: &Verdict) -> Duration {
    match verdict {
        Verdict::Retry { delay, .. } | Verdict::Snooze { delay } => *delay,
        Verdict::Crashed { again, .. } => again.unwrap_or_default(),
        Verdict::Succeeded { .. }
        | Verdict::Dead { .. }
        | Verdict::Cancelled { .. }
        | Verdict::Released { .. } => Duration::ZERO,
    }
}
