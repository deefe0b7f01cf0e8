//! The ports of tasks and schedules, over the calls in the other files.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::PostgresLedger;
use super::act::Act;
use super::add::Add;
use super::catalog::{GetSchedules, Put, Remove, Snapshot, Version};
use super::claim::ClaimBatch;
use super::due::{Backlog, LeaseDue, MarkAll, Now, PostponeAll};
use super::inspect::{Get, List, Pause, Purge, Queues};
use super::limit::{Limits, LineUp};
use super::member::{self, Beat, Cancels, Leave, Mine};
use super::occurrence::{AdvanceAll, Occurrences};
use super::park::ParkAll;
use super::reap::Reap;
use super::session::perform;
use super::settle::{Release, Settle};
use crate::id::{OwnerId, TaskId};
use crate::ledger::{
    ActAnswer, Action, AddAnswer, Advance, AdvanceAnswer, Agenda, Catalog, CatalogSnapshot, ClaimAnswer,
    ClaimRequest, DueBatch, Expect, Inspect, Ledger, LedgerError, LimitRecord, Lost, Mark, NewEntry,
    NewSchedule, OwnedClaim, PageCursor, Park, ParkAnswer, Postpone, PurgeReport, PutAnswer, QueueRecord,
    ReapReport, Retention, SettleAnswer, Settlement, TaskFilter, TaskPage,
};
use crate::limit::Turn;
use crate::member::{Heartbeat, HeartbeatAnswer, MemberRecord};
use crate::name::{QueueName, ScheduleId};
use crate::occurrence::{OccurrenceRecord, ScheduleRecord};
use crate::task::TaskRecord;

#[async_trait]
impl Ledger for PostgresLedger {
    async fn now(&self) -> Result<Timestamp, LedgerError> {
        Ok(perform(&self.pool, &Now).await?)
    }

    async fn claim(&self, owner: OwnerId, batch: Vec<ClaimRequest>) -> Result<Vec<ClaimAnswer>, LedgerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let work = ClaimBatch { owner, batch: &batch, stale_after: self.stale_after };
        let answers = perform(&self.pool, &work).await?;
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
        let answers = perform(&self.pool, &Settle(&batch)).await?;
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
        Ok(perform(&self.pool, &Beat(&heartbeat)).await?)
    }

    async fn cancels(&self, owner: OwnerId) -> Result<Vec<TaskId>, LedgerError> {
        Ok(perform(&self.pool, &Cancels(owner)).await?)
    }

    async fn line_up(&self, turns: Vec<Turn>) -> Result<Vec<bool>, LedgerError> {
        if turns.is_empty() {
            return Ok(Vec::new());
        }
        self.limited.store(true, Ordering::Relaxed);
        Ok(perform(&self.pool, &LineUp(&turns)).await?)
    }

    async fn mine(&self, owner: OwnerId) -> Result<Vec<OwnedClaim>, LedgerError> {
        Ok(perform(&self.pool, &Mine(owner)).await?)
    }

    async fn release(&self, owner: OwnerId, claims: Vec<OwnedClaim>) -> Result<u64, LedgerError> {
        let released = perform(&self.pool, &Release { owner, claims: &claims }).await?;
        self.wake(released > 0, released > 0);
        Ok(released)
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), LedgerError> {
        perform(&self.pool, &Leave(owner)).await?;
        self.wake(true, true);
        Ok(())
    }
}

#[async_trait]
impl Agenda for PostgresLedger {
    async fn add(&self, entries: Vec<NewEntry>) -> Result<Vec<AddAnswer>, LedgerError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let answers = perform(&self.pool, &Add(&entries)).await?;
        // What its client publishes itself is no beat's business yet. But somebody may soon wait for its end.
        self.ended.stir();
        self.wake(false, entries.iter().any(|entry| entry.cover.is_zero()));
        Ok(answers)
    }

    async fn due(&self, limit: usize, lease: Duration) -> Result<DueBatch, LedgerError> {
        self.agenda.looking();
        let batch = perform(&self.pool, &LeaseDue { limit, lease }).await?;
        if !batch.entries.is_empty() {
            self.agenda.stir();
        }
        Ok(batch)
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<Vec<bool>, LedgerError> {
        if marks.is_empty() {
            return Ok(Vec::new());
        }
        Ok(perform(&self.pool, &MarkAll(&marks)).await?)
    }

    async fn postpone(&self, postponed: Vec<Postpone>) -> Result<(), LedgerError> {
        if postponed.is_empty() {
            return Ok(());
        }
        Ok(perform(&self.pool, &PostponeAll(&postponed)).await?)
    }

    async fn park(&self, parks: Vec<Park>) -> Result<Vec<ParkAnswer>, LedgerError> {
        if parks.is_empty() {
            return Ok(Vec::new());
        }
        let answers = perform(&self.pool, &ParkAll(&parks)).await?;
        self.wake(answers.contains(&ParkAnswer::Dead), true);
        Ok(answers)
    }

    async fn reap(&self, lost: Vec<Lost>, max_crashes: u32) -> Result<ReapReport, LedgerError> {
        let report = perform(&self.pool, &Reap { lost: &lost, max_crashes }).await?;
        self.wake(!report.dead.is_empty() || report.cancelled > 0, report.rescheduled > 0);
        Ok(report)
    }

    async fn backlog(&self) -> Result<Vec<(QueueName, u64, Duration)>, LedgerError> {
        Ok(perform(&self.pool, &Backlog).await?)
    }

    async fn wait(&self, at_most: Duration) {
        self.agenda.wait(at_most).await;
    }
}

#[async_trait]
impl Catalog for PostgresLedger {
    async fn version(&self) -> Result<u64, LedgerError> {
        Ok(perform(&self.pool, &Version).await?)
    }

    async fn snapshot(&self) -> Result<CatalogSnapshot, LedgerError> {
        Ok(perform(&self.pool, &Snapshot).await?)
    }

    async fn get(&self, ids: Vec<ScheduleId>) -> Result<Vec<ScheduleRecord>, LedgerError> {
        Ok(perform(&self.pool, &GetSchedules(&ids)).await?)
    }

    async fn put(&self, schedule: NewSchedule, expect: Expect) -> Result<PutAnswer, LedgerError> {
        let answer = perform(&self.pool, &Put { schedule: &schedule, expect }).await?;
        self.wake(false, true);
        Ok(answer)
    }

    async fn remove(&self, id: ScheduleId, revision: u64) -> Result<bool, LedgerError> {
        let removed = perform(&self.pool, &Remove { id: &id, revision }).await?;
        self.wake(removed, removed);
        Ok(removed)
    }

    async fn advance(&self, advances: Vec<Advance>) -> Result<Vec<AdvanceAnswer>, LedgerError> {
        if advances.is_empty() {
            return Ok(Vec::new());
        }
        let answers = perform(&self.pool, &AdvanceAll(&advances)).await?;
        self.wake(false, true);
        Ok(answers)
    }

    async fn occurrences(&self, id: ScheduleId, limit: usize) -> Result<Vec<OccurrenceRecord>, LedgerError> {
        Ok(perform(&self.pool, &Occurrences { id: &id, limit }).await?)
    }
}

#[async_trait]
impl Inspect for PostgresLedger {
    async fn get(&self, ids: Vec<TaskId>) -> Result<Vec<Option<TaskRecord>>, LedgerError> {
        Ok(perform(&self.pool, &Get(&ids)).await?)
    }

    async fn list(
        &self,
        filter: TaskFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<TaskPage, LedgerError> {
        Ok(perform(&self.pool, &List { filter: &filter, after, limit }).await?)
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, LedgerError> {
        Ok(perform(&self.pool, &Queues).await?)
    }

    async fn limits(&self, most: usize) -> Result<Vec<LimitRecord>, LedgerError> {
        Ok(perform(&self.pool, &Limits { most }).await?)
    }

    async fn members(&self) -> Result<Vec<MemberRecord>, LedgerError> {
        Ok(perform(&self.pool, &member::List).await?)
    }

    async fn act(&self, ids: Vec<TaskId>, action: Action) -> Result<Vec<ActAnswer>, LedgerError> {
        let answers = perform(&self.pool, &Act { ids: &ids, action: &action }).await?;
        let to = |ended: bool| {
            answers.iter().any(|it| matches!(it, ActAnswer::Applied(state) if state.is_terminal() == ended))
        };
        self.wake(to(true), to(false));
        Ok(answers)
    }

    async fn pause(&self, queue: QueueName, paused: bool) -> Result<(), LedgerError> {
        Ok(perform(&self.pool, &Pause { queue: &queue, paused }).await?)
    }

    async fn purge(&self, retention: Retention, limit: usize) -> Result<PurgeReport, LedgerError> {
        Ok(perform(&self.pool, &Purge { retention, limit }).await?)
    }

    async fn wait(&self, at_most: Duration) {
        self.ended.wait_from_now(at_most).await;
    }
}

impl PostgresLedger {
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
