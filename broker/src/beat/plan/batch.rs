//! One batch of due schedules: what passed for each goes to the ledger in one call.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::failpoint;
use upbeat_shared::ledger::{Advance, AdvanceAnswer, LedgerError};
use upbeat_shared::name::ScheduleId;
use upbeat_shared::telemetry;

use super::Planner;
use super::step::{Step, is_from_the_future, step};

/// Occurrences of one schedule in one batch, at most: the rest of a long catching up goes behind the others.
const PER_SCHEDULE: usize = 100;

/// The shortest wait after the store said that it is not that late yet.
const EARLY: Duration = Duration::from_millis(2);

/// How long a schedule waits whose unique key is locked by an open transaction, before it asks again.
pub(super) const KEY_LOCKED: Duration = Duration::from_millis(250);

impl Planner {
    /// Plans these schedules, as many of their instants as fit in one batch.
    pub(super) async fn plan_batch(
        &mut self,
        due: Vec<ScheduleId>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let steps = self.steps(due, now);
        if steps.is_empty() {
            return Ok(());
        }
        tracing::debug!(schedules = steps.len(), "worked out what is due");
        failpoint!("beat.plan.computed");
        let advances = steps.iter().map(|(advance, _)| advance.clone()).collect();
        match self.advance(advances, now, &steps).await {
            // What the ledger refuses may be one schedule's fault: each is asked alone, so that the others go on.
            Err(LedgerError::Invalid(_)) => self.plan_singly(steps, now).await,
            other => other,
        }
    }

    /// What each has to do. Those with nothing to do get their next look at once.
    fn steps(&mut self, due: Vec<ScheduleId>, now: Timestamp) -> Vec<(Advance, Step)> {
        let mut room = self.ctx.options.batch;
        let mut steps = Vec::with_capacity(due.len());
        for id in due {
            if room == 0 {
                break;
            }
            let Some(page) = self.book.get(&id) else { continue };
            let Some(timetable) = &page.timetable else { continue };
            let namespace = &self.ctx.options.namespace;
            let mut step = step(namespace, &page.record, timetable, now, room.min(PER_SCHEDULE));
            match step.advance.take() {
                Some(advance) => {
                    room = room.saturating_sub(advance.fire.len().max(1));
                    steps.push((advance, step));
                }
                None => self.book.look(&id, step.next),
            }
        }
        steps
    }

    async fn plan_singly(&mut self, steps: Vec<(Advance, Step)>, now: Timestamp) -> Result<(), LedgerError> {
        for single in steps {
            let id = single.0.id.clone();
            let outcome = self.advance(vec![single.0.clone()], now, std::slice::from_ref(&single)).await;
            match outcome {
                Err(LedgerError::Invalid(error)) => {
                    if self.book.set_back(&id, now) == 1 {
                        tracing::error!(schedule = %id, error, "the ledger refuses this schedule's occurrences; it is tried again, less and less often");
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn advance(
        &mut self,
        advances: Vec<Advance>,
        now: Timestamp,
        steps: &[(Advance, Step)],
    ) -> Result<(), LedgerError> {
        let sent = self.ctx.monotonic();
        let answers = self.ctx.ledger("advance", self.ctx.store.catalog.advance(advances)).await?;
        failpoint!("beat.plan.advanced");
        let mut conflicts = Vec::new();
        let mut early = Vec::new();
        for ((advance, step), answer) in steps.iter().zip(answers) {
            match answer {
                AdvanceAnswer::Advanced(fresh) => self.advanced(advance, step, fresh, now),
                AdvanceAnswer::Conflict => conflicts.push(advance.id.clone()),
                AdvanceAnswer::KeyLocked => {
                    tracing::debug!(schedule = %advance.id, "an open transaction has locked its unique key");
                    self.book.look(&advance.id, Some(clock::later(now, KEY_LOCKED)));
                }
                AdvanceAnswer::Early(store) => {
                    self.ctx.clock.observe(sent, store);
                    early.push((advance.id.clone(), advance.to));
                }
            }
        }
        self.wait_for_the_store(early, now).await?;
        self.read_again(conflicts, now).await
    }

    fn advanced(&mut self, advance: &Advance, step: &Step, fresh: u64, now: Timestamp) {
        if is_from_the_future(advance.from, now) {
            tracing::error!(
                schedule = %advance.id, was = %advance.from, is = %advance.to,
                "this schedule's cursor lay more than an hour ahead of the store's time (its clock was set back?); it was reset to now"
            );
        }
        if takes_keys(advance) {
            let merged = (advance.fire.len() as u64).saturating_sub(fresh);
            metrics::counter!(telemetry::OCCURRENCES, "outcome" => "merged").increment(merged);
        }
        let skipped: u64 = advance.skipped.iter().map(|range| range.count).sum();
        metrics::counter!(telemetry::OCCURRENCES, "outcome" => "fired").increment(fresh);
        metrics::counter!(telemetry::OCCURRENCES, "outcome" => "skipped").increment(skipped);
        self.book.advanced(&advance.id, advance.to, step.next, step.complete, now);
        self.watch_fired(advance, now);
    }

    /// This beat's idea of the store's time was ahead: it is corrected, and these wait until their time has come.
    async fn wait_for_the_store(
        &mut self,
        early: Vec<(ScheduleId, Timestamp)>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        if early.is_empty() {
            return Ok(());
        }
        tracing::debug!(schedules = early.len(), "the store's clock is behind what it was thought to be");
        let store = self.ctx.sample().await?;
        let shortest = clock::later(self.ctx.clock.now().unwrap_or(now), EARLY);
        for (id, to) in early {
            let by_the_store = clock::later(now, clock::until(store, to));
            self.book.look(&id, Some(to.min(by_the_store).max(shortest)));
        }
        Ok(())
    }

    /// Somebody else was there first or changed the definition.
    async fn read_again(&mut self, ids: Vec<ScheduleId>, now: Timestamp) -> Result<(), LedgerError> {
        if ids.is_empty() {
            return Ok(());
        }
        tracing::debug!(schedules = ids.len(), "schedules were planned or changed by somebody else");
        let records = match self.ctx.ledger("get", self.ctx.store.catalog.get(ids.clone())).await {
            // One of them cannot be read any more; the whole catalog can, without it.
            Err(LedgerError::Invalid(_)) => {
                self.version = None;
                return Ok(());
            }
            records => records?,
        };
        for id in &ids {
            if !records.iter().any(|record| record.id == *id) {
                self.book.remove(id);
            }
        }
        for record in records {
            let id = record.id.clone();
            self.book.set_back(&id, now);
            self.book.refresh(record, now);
        }
        Ok(())
    }
}

fn takes_keys(advance: &Advance) -> bool {
    advance.fire.iter().any(|entry| entry.message.unique.is_some())
}
