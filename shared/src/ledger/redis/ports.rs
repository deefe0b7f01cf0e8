//! The ports, over the calls in the other files.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::script::Call;
use super::{
    RedisLedger, act, agenda, catalog, claim, inspect, leases, limit, member, occurrence, reply, row, settle,
};
use crate::id::{OwnerId, TaskId};
use crate::ledger::{
    ActAnswer, Action, AddAnswer, Advance, AdvanceAnswer, Agenda, Catalog, CatalogSnapshot, ClaimAnswer,
    ClaimRequest, DueBatch, Expect, Inspect, LeaseRequest, Leases, Ledger, LedgerError, LimitRecord, Lost,
    Mark, NewEntry, NewSchedule, OwnedClaim, PageCursor, Park, ParkAnswer, Postpone, PurgeReport, PutAnswer,
    QueueRecord, ReapReport, Retention, SettleAnswer, Settlement, TaskFilter, TaskPage,
};
use crate::limit::Turn;
use crate::member::{Heartbeat, HeartbeatAnswer, MemberRecord};
use crate::name::{QueueName, ScheduleId};
use crate::occurrence::{OccurrenceRecord, ScheduleRecord};
use crate::task::TaskRecord;

#[async_trait]
impl Ledger for RedisLedger {
    async fn now(&self) -> Result<Timestamp, LedgerError> {
        Ok(row::instant(reply::number(&self.session.ask(Call::Now).await?)?))
    }

    async fn claim(&self, owner: OwnerId, batch: Vec<ClaimRequest>) -> Result<Vec<ClaimAnswer>, LedgerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let answers = claim::claim(&self.session, owner, &batch, self.stale_after).await?;
        if batch.iter().any(|request| !request.limits.is_empty()) {
            self.limited.store(true, Ordering::Relaxed);
        }
        if answers.iter().any(|answer| matches!(answer, ClaimAnswer::Ended(_))) {
            self.ended.happened();
        }
        Ok(answers)
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettleAnswer>, LedgerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let answers = settle::settle(&self.session, &batch).await?;
        let states = answers.iter().filter_map(|answer| match answer {
            SettleAnswer::Applied(state) => Some(*state),
            SettleAnswer::AlreadySettled | SettleAnswer::Stale => None,
        });
        let followed = batch.iter().any(|settlement| !settlement.then.is_empty());
        let (mut ended, mut moved) = (false, followed || self.limited.load(Ordering::Relaxed));
        for state in states {
            ended |= state.is_terminal();
            moved |= !state.is_terminal();
        }
        self.wake(ended, moved);
        Ok(answers)
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, LedgerError> {
        Ok(member::beat(&self.session, &heartbeat).await?)
    }

    async fn cancels(&self, owner: OwnerId) -> Result<Vec<TaskId>, LedgerError> {
        Ok(member::cancels(&self.session, owner).await?)
    }

    async fn line_up(&self, turns: Vec<Turn>) -> Result<Vec<bool>, LedgerError> {
        if turns.is_empty() {
            return Ok(Vec::new());
        }
        self.limited.store(true, Ordering::Relaxed);
        Ok(super::limit::line_up(&self.session, &turns).await?)
    }

    async fn mine(&self, owner: OwnerId) -> Result<Vec<OwnedClaim>, LedgerError> {
        Ok(member::mine(&self.session, owner).await?)
    }

    async fn release(&self, owner: OwnerId, claims: Vec<OwnedClaim>) -> Result<u64, LedgerError> {
        let released = settle::release(&self.session, owner, &claims).await?;
        self.wake(released > 0, released > 0);
        Ok(released)
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), LedgerError> {
        settle::leave(&self.session, owner).await?;
        self.wake(true, true);
        Ok(())
    }
}

#[async_trait]
impl Agenda for RedisLedger {
    async fn add(&self, entries: Vec<NewEntry>) -> Result<Vec<AddAnswer>, LedgerError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let answers = agenda::add(&self.session, &entries).await?;
        // What its client publishes itself is no beat's business yet. But somebody may soon wait for its end.
        self.ended.stir();
        self.wake(false, entries.iter().any(|entry| entry.cover.is_zero()));
        Ok(answers)
    }

    async fn due(&self, limit: usize, lease: Duration) -> Result<DueBatch, LedgerError> {
        self.agenda.looking();
        let batch = agenda::due(&self.session, limit, lease).await?;
        if !batch.entries.is_empty() {
            self.agenda.stir();
        }
        Ok(batch)
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<Vec<bool>, LedgerError> {
        if marks.is_empty() {
            return Ok(Vec::new());
        }
        Ok(agenda::mark(&self.session, &marks).await?)
    }

    async fn postpone(&self, postponed: Vec<Postpone>) -> Result<(), LedgerError> {
        if postponed.is_empty() {
            return Ok(());
        }
        Ok(agenda::postpone(&self.session, &postponed).await?)
    }

    async fn park(&self, parks: Vec<Park>) -> Result<Vec<ParkAnswer>, LedgerError> {
        if parks.is_empty() {
            return Ok(Vec::new());
        }
        let answers = agenda::park(&self.session, &parks).await?;
        self.wake(answers.contains(&ParkAnswer::Dead), true);
        Ok(answers)
    }

    async fn reap(&self, lost: Vec<Lost>, max_crashes: u32) -> Result<ReapReport, LedgerError> {
        let report = agenda::reap(&self.session, &lost, max_crashes).await?;
        self.wake(!report.dead.is_empty() || report.cancelled > 0, report.rescheduled > 0);
        Ok(report)
    }

    async fn backlog(&self) -> Result<Vec<(QueueName, u64, Duration)>, LedgerError> {
        Ok(agenda::backlog(&self.session).await?)
    }

    async fn wait(&self, at_most: Duration) {
        self.agenda.wait(at_most).await;
    }
}

#[async_trait]
impl Catalog for RedisLedger {
    async fn version(&self) -> Result<u64, LedgerError> {
        Ok(catalog::version(&self.session).await?)
    }

    async fn snapshot(&self) -> Result<CatalogSnapshot, LedgerError> {
        Ok(catalog::snapshot(&self.session).await?)
    }

    async fn get(&self, ids: Vec<ScheduleId>) -> Result<Vec<ScheduleRecord>, LedgerError> {
        Ok(catalog::get(&self.session, &ids).await?)
    }

    async fn put(&self, schedule: NewSchedule, expect: Expect) -> Result<PutAnswer, LedgerError> {
        let answer = catalog::put(&self.session, &schedule, expect).await?;
        self.wake(false, true);
        Ok(answer)
    }

    async fn remove(&self, id: ScheduleId, revision: u64) -> Result<bool, LedgerError> {
        let removed = catalog::remove(&self.session, &id, revision).await?;
        self.wake(removed, removed);
        Ok(removed)
    }

    async fn advance(&self, advances: Vec<Advance>) -> Result<Vec<AdvanceAnswer>, LedgerError> {
        if advances.is_empty() {
            return Ok(Vec::new());
        }
        let answers = occurrence::advance(&self.session, &advances).await?;
        self.wake(false, true);
        Ok(answers)
    }

    async fn occurrences(&self, id: ScheduleId, limit: usize) -> Result<Vec<OccurrenceRecord>, LedgerError> {
        Ok(occurrence::list(&self.session, &id, limit).await?)
    }
}

#[async_trait]
impl Inspect for RedisLedger {
    async fn get(&self, ids: Vec<TaskId>) -> Result<Vec<Option<TaskRecord>>, LedgerError> {
        Ok(inspect::get(&self.session, &ids).await?)
    }

    async fn list(
        &self,
        filter: TaskFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<TaskPage, LedgerError> {
        Ok(inspect::list(&self.session, &filter, after, limit).await?)
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, LedgerError> {
        Ok(inspect::counts(&self.session, 0).await?.queues)
    }

    async fn limits(&self, most: usize) -> Result<Vec<LimitRecord>, LedgerError> {
        Ok(limit::list(&self.session, most).await?)
    }

    async fn members(&self) -> Result<Vec<MemberRecord>, LedgerError> {
        Ok(member::list(&self.session).await?)
    }

    async fn act(&self, ids: Vec<TaskId>, action: Action) -> Result<Vec<ActAnswer>, LedgerError> {
        let answers = act::act(&self.session, &ids, &action).await?;
        let to = |ended: bool| {
            answers.iter().any(|it| matches!(it, ActAnswer::Applied(state) if state.is_terminal() == ended))
        };
        self.wake(to(true), to(false));
        Ok(answers)
    }

    async fn pause(&self, queue: QueueName, paused: bool) -> Result<(), LedgerError> {
        Ok(inspect::pause(&self.session, &queue, paused).await?)
    }

    async fn purge(&self, retention: Retention, limit: usize) -> Result<PurgeReport, LedgerError> {
        Ok(inspect::purge(&self.session, &retention, limit).await?)
    }

    async fn wait(&self, at_most: Duration) {
        self.ended.wait_from_now(at_most).await;
    }
}

#[async_trait]
impl Leases for RedisLedger {
    async fn acquire(&self, owner: OwnerId, requests: Vec<LeaseRequest>) -> Result<Vec<bool>, LedgerError> {
        Ok(leases::acquire(&self.session, owner, &requests).await?)
    }

    async fn give_up(&self, owner: OwnerId, names: Vec<String>) -> Result<(), LedgerError> {
        Ok(leases::give_up(&self.session, owner, &names).await?)
    }
}

impl RedisLedger {
    /// Tells whoever waits in this process.
    pub(super) fn wake(&self, ended: bool, agenda: bool) {
        if ended {
            self.ended.happened();
        }
        if agenda {
            self.agenda.happened();
        }
    }
}
