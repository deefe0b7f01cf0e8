//! The ledger as a member has it: every port's call goes over the network, and the law looks on where it takes effect.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use upbeat_shared::id::{OwnerId, TaskId};
use upbeat_shared::ledger::holding::Holding;
use upbeat_shared::ledger::memory::MemoryLedger;
use upbeat_shared::ledger::{
    AddAnswer, Advance, AdvanceAnswer, Agenda, Catalog, CatalogSnapshot, ClaimAnswer, ClaimRequest, DueBatch,
    Expect, LeaseRequest, Leases, Ledger, LedgerError, Lost, Mark, NewEntry, NewSchedule, OwnedClaim, Park,
    ParkAnswer, Postpone, PutAnswer, ReapReport, Schema, SchemaStatus, SettleAnswer, Settlement,
};
use upbeat_shared::limit::Turn;
use upbeat_shared::member::{Heartbeat, HeartbeatAnswer};
use upbeat_shared::name::{QueueName, ScheduleId};
use upbeat_shared::occurrence::{OccurrenceRecord, ScheduleRecord};

use super::history::About;
use super::law::Law;
use super::net::{Kind, Line, Seen};
use super::rows::rows;
use crate::testing::world::at_once;

type Answer<T> = Result<T, LedgerError>;

/// One process's way to the ledger.
pub(super) struct FarLedger {
    line: Line,
    raw: Arc<MemoryLedger>,
    law: Arc<Law>,
}

impl FarLedger {
    pub(super) fn new(line: Line, raw: Arc<MemoryLedger>, law: Arc<Law>) -> Arc<Self> {
        Arc::new(Self { line, raw, law })
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        label: &'static str,
        about: About,
        see: fn(&T) -> Seen,
        act: impl FnOnce(&MemoryLedger, &Law) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let (raw, law) = (self.raw.clone(), self.law.clone());
        let kind = Kind { label, see, away: LedgerError::Unavailable };
        self.line.ask(kind, about, move |_| act(&raw, &law)).await
    }

    /// A call that a driver may repeat by itself, when it does not know whether it arrived.
    async fn ask_again<T: Send + 'static>(
        &self,
        label: &'static str,
        about: About,
        see: fn(&T) -> Seen,
        act: impl FnOnce(&MemoryLedger, &Law, bool) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let (raw, law) = (self.raw.clone(), self.law.clone());
        let kind = Kind { label, see, away: LedgerError::Unavailable };
        self.line.ask(kind, about, move |twice| act(&raw, &law, twice)).await
    }

    /// A call that only looks.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        label: &'static str,
        look: impl FnOnce(&MemoryLedger) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        self.ask(label, About::default(), |_| Seen::quiet(), |raw, _| look(raw)).await
    }

    pub(super) fn raw(&self) -> &MemoryLedger {
        &self.raw
    }
}

impl fmt::Debug for FarLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FarLedger").finish_non_exhaustive()
    }
}

fn now(raw: &MemoryLedger) -> Timestamp {
    at_once(Ledger::now(raw)).expect("a ledger in memory does not fail")
}

#[async_trait]
impl Ledger for FarLedger {
    async fn now(&self) -> Answer<Timestamp> {
        self.look("now", |raw| at_once(Ledger::now(raw))).await
    }

    async fn claim(&self, owner: OwnerId, batch: Vec<ClaimRequest>) -> Answer<Vec<ClaimAnswer>> {
        let about = About::tasks(batch.iter().map(|request| request.message.id));
        let see = |answers: &Vec<ClaimAnswer>| Seen::notable(answers.first().map_or("", claim_word));
        self.ask_again("claim", about, see, move |raw, law, twice| {
            let asked = |request: &ClaimRequest| {
                let message = &request.message;
                (message.id, request.token, message.queue.clone())
            };
            let asked: Vec<_> = batch.iter().map(asked).collect();
            let answers = at_once(raw.claim(owner, batch.clone()))?;
            law.claimed(owner, &asked, &answers);
            if twice {
                law.repeated_claim(&answers, &at_once(raw.claim(owner, batch))?);
            }
            Ok(answers)
        })
        .await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Answer<Vec<SettleAnswer>> {
        let about = About::tasks(batch.iter().map(|settlement| settlement.claim.id));
        let see = |answers: &Vec<SettleAnswer>| {
            Seen::notable(answers.first().map_or("", |answer| settle_word(*answer)))
        };
        self.ask_again("settle", about, see, move |raw, law, twice| {
            let answers = at_once(raw.settle(batch.clone()))?;
            law.settled(now(raw), &batch, &answers);
            if twice {
                law.repeated_settle(&answers, &at_once(raw.settle(batch))?);
            }
            Ok(answers)
        })
        .await
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Answer<HeartbeatAnswer> {
        let Heartbeat { owner, counter, lease, .. } = heartbeat;
        self.ask(
            "heartbeat",
            About::default(),
            |_| Seen::quiet(),
            move |raw, law| {
                let answer = at_once(raw.heartbeat(heartbeat))?;
                if !answer.retired {
                    law.beats(owner, counter, lease, answer.now);
                }
                Ok(answer)
            },
        )
        .await
    }

    async fn mine(&self, owner: OwnerId) -> Answer<Vec<OwnedClaim>> {
        self.look("mine", move |raw| at_once(raw.mine(owner))).await
    }

    async fn cancels(&self, owner: OwnerId) -> Answer<Vec<TaskId>> {
        self.look("cancels", move |raw| at_once(raw.cancels(owner))).await
    }

    async fn release(&self, owner: OwnerId, claims: Vec<OwnedClaim>) -> Answer<u64> {
        let about = About::tasks(claims.iter().map(|claim| claim.id));
        self.ask(
            "release",
            about,
            |_| Seen::notable("released"),
            move |raw, law| {
                law.releases(&claims);
                let released = at_once(raw.release(owner, claims))?;
                law.ended_otherwise(raw);
                Ok(released)
            },
        )
        .await
    }

    async fn line_up(&self, turns: Vec<Turn>) -> Answer<Vec<bool>> {
        self.ask("line_up", About::default(), |_| Seen::notable(""), |raw, _| at_once(raw.line_up(turns)))
            .await
    }

    async fn leave(&self, owner: OwnerId) -> Answer<()> {
        self.ask(
            "leave",
            About::default(),
            |()| Seen::notable("left"),
            move |raw, law| {
                at_once(raw.leave(owner))?;
                law.ended_otherwise(raw);
                Ok(())
            },
        )
        .await
    }
}

fn claim_word(answer: &ClaimAnswer) -> &'static str {
    match answer {
        ClaimAnswer::Acquired(_) => "acquired",
        ClaimAnswer::Done(_) => "done",
        ClaimAnswer::Busy => "busy",
        ClaimAnswer::Stale => "stale",
        ClaimAnswer::Ended(_) => "ended",
        ClaimAnswer::Limited { .. } => "limited",
        ClaimAnswer::Retired => "retired",
    }
}

fn settle_word(answer: SettleAnswer) -> &'static str {
    match answer {
        SettleAnswer::Applied(state) => state.as_str(),
        SettleAnswer::AlreadySettled => "already settled",
        SettleAnswer::Stale => "stale",
    }
}

#[async_trait]
impl Agenda for FarLedger {
    async fn add(&self, entries: Vec<NewEntry>) -> Answer<Vec<AddAnswer>> {
        let about = About::tasks(entries.iter().map(|entry| entry.message.id));
        self.ask(
            "add",
            about,
            |_| Seen::notable("added"),
            move |raw, law| {
                let dues: Vec<_> = entries.iter().map(|entry| (entry.message.id, entry.due)).collect();
                let answers = at_once(raw.add(entries))?;
                law.added(now(raw), &dues, &answers);
                Ok(answers)
            },
        )
        .await
    }

    async fn due(&self, limit: usize, lease: Duration) -> Answer<DueBatch> {
        let see = |batch: &DueBatch| {
            if batch.entries.is_empty() { Seen::quiet() } else { Seen::notable("leased") }
        };
        self.ask("due", About::default(), see, move |raw, law| {
            let batch = at_once(raw.due(limit, lease))?;
            law.leased(&batch);
            Ok(batch)
        })
        .await
    }

    async fn mark(&self, marks: Vec<Mark>) -> Answer<Vec<bool>> {
        let about = About::tasks(marks.iter().map(|mark| mark.id));
        self.ask(
            "mark",
            about,
            |_| Seen::notable("marked"),
            move |raw, law| {
                let before = rows(raw, &marks.iter().map(|mark| mark.id).collect::<Vec<_>>());
                let answers = at_once(raw.mark(marks.clone()))?;
                law.marked(&marks, &before, &answers);
                Ok(answers)
            },
        )
        .await
    }

    async fn postpone(&self, postponed: Vec<Postpone>) -> Answer<()> {
        let about = About::tasks(postponed.iter().map(|one| one.id));
        self.ask(
            "postpone",
            about,
            |()| Seen::notable("postponed"),
            |raw, _| at_once(raw.postpone(postponed)),
        )
        .await
    }

    async fn park(&self, parks: Vec<Park>) -> Answer<Vec<ParkAnswer>> {
        let ids: Vec<TaskId> = parks.iter().map(|park| park.message.id).collect();
        let about = About::tasks(ids.iter().copied());
        self.ask(
            "park",
            about,
            |_| Seen::notable("parked"),
            move |raw, law| {
                let answers = at_once(raw.park(parks))?;
                law.parked(&ids, &answers);
                Ok(answers)
            },
        )
        .await
    }

    async fn reap(&self, lost: Vec<Lost>, max_crashes: u32) -> Answer<ReapReport> {
        let see = |report: &ReapReport| {
            if *report == ReapReport::default() { Seen::quiet() } else { Seen::notable("reaped") }
        };
        self.ask("reap", About::default(), see, move |raw, law| {
            let report = at_once(raw.reap(lost.clone(), max_crashes))?;
            law.retires(&lost, &report.retired, now(raw));
            if report != ReapReport::default() {
                law.ended_otherwise(raw);
            }
            Ok(report)
        })
        .await
    }

    async fn backlog(&self) -> Answer<Vec<(QueueName, u64, Duration)>> {
        self.look("backlog", |raw| at_once(raw.backlog())).await
    }

    async fn wait(&self, at_most: Duration) {
        Agenda::wait(self.raw(), at_most).await;
    }
}

#[async_trait]
impl Catalog for FarLedger {
    async fn version(&self) -> Answer<u64> {
        self.look("version", |raw| at_once(raw.version())).await
    }

    async fn snapshot(&self) -> Answer<CatalogSnapshot> {
        self.look("snapshot", |raw| at_once(raw.snapshot())).await
    }

    async fn get(&self, ids: Vec<ScheduleId>) -> Answer<Vec<ScheduleRecord>> {
        self.look("schedules", |raw| at_once(Catalog::get(raw, ids))).await
    }

    async fn put(&self, schedule: NewSchedule, expect: Expect) -> Answer<PutAnswer> {
        let see = |_: &PutAnswer| Seen::notable("put");
        self.ask("put", About::default(), see, move |raw, _| at_once(raw.put(schedule, expect))).await
    }

    async fn remove(&self, id: ScheduleId, revision: u64) -> Answer<bool> {
        self.ask(
            "remove",
            About::default(),
            |_| Seen::notable("removed"),
            move |raw, _| at_once(raw.remove(id, revision)),
        )
        .await
    }

    async fn advance(&self, advances: Vec<Advance>) -> Answer<Vec<AdvanceAnswer>> {
        let fired = advances.iter().flat_map(|advance| &advance.fire);
        let about = About::tasks(fired.map(|entry| entry.message.id));
        let see = |answers: &Vec<AdvanceAnswer>| Seen::notable(answers.first().map_or("", advance_word));
        self.ask("advance", about, see, move |raw, law| {
            let cursors: Vec<_> = advances.iter().map(|advance| cursor(raw, &advance.id)).collect();
            let answers = at_once(raw.advance(advances.clone()))?;
            let advances: Vec<_> = advances.into_iter().zip(cursors).collect();
            law.advanced(&advances, now(raw), &answers);
            Ok(answers)
        })
        .await
    }

    async fn occurrences(&self, id: ScheduleId, limit: usize) -> Answer<Vec<OccurrenceRecord>> {
        self.look("occurrences", move |raw| at_once(raw.occurrences(id, limit))).await
    }
}

fn advance_word(answer: &AdvanceAnswer) -> &'static str {
    match answer {
        AdvanceAnswer::Advanced(_) => "advanced",
        AdvanceAnswer::Conflict => "conflict",
        AdvanceAnswer::Early(_) => "early",
        AdvanceAnswer::KeyLocked => "key locked",
    }
}

fn cursor(raw: &MemoryLedger, id: &ScheduleId) -> Option<Timestamp> {
    let found = at_once(Catalog::get(raw, vec![id.clone()])).expect("a ledger in memory does not fail");
    found.first().map(|record| record.cursor)
}

#[async_trait]
impl Leases for FarLedger {
    async fn acquire(&self, owner: OwnerId, requests: Vec<LeaseRequest>) -> Answer<Vec<bool>> {
        self.look("acquire", move |raw| at_once(raw.acquire(owner, requests))).await
    }

    async fn give_up(&self, owner: OwnerId, names: Vec<String>) -> Answer<()> {
        self.look("give_up", move |raw| at_once(raw.give_up(owner, names))).await
    }
}

#[async_trait]
impl Schema for FarLedger {
    async fn status(&self) -> Answer<SchemaStatus> {
        self.raw.status().await
    }

    async fn up(&self) -> Answer<Vec<u32>> {
        self.raw.up().await
    }

    async fn holdings(&self) -> Answer<Vec<Holding>> {
        self.look("holdings", |raw| at_once(raw.holdings())).await
    }

    fn describe(&self) -> String {
        self.raw.describe()
    }
}
