//! One leased batch: published, then marked. What one queue refuses waits alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::failpoint;
use upbeat_shared::ledger::{DueEntry, DueReason, LedgerError, Mark, Postpone};
use upbeat_shared::name::QueueName;
use upbeat_shared::telemetry::{self, Publishing};
use upbeat_shared::transport::{Outgoing, PublishAnswer, TransportError};

use super::super::context::{Context, backoff};
use super::super::health::Fault;
use super::patience::{Patience, next_look, spread};
use super::turns;

/// How soon entries come back that could not be published because the broker was away.
const AWAY: Duration = Duration::from_millis(500);

/// Tries to mark what was published, before the entries' lease ends and they are published again.
const MARK_TRIES: u32 = 4;

/// Publishes what is due.
#[derive(Debug)]
pub(super) struct Promoter {
    pub(super) ctx: Arc<Context>,
    pub(super) patience: Patience,
}

/// What becomes of the entries of one batch.
#[derive(Debug, Default)]
struct Sorted {
    publish: Vec<DueEntry>,
    postpone: Vec<Postpone>,
}

/// What the broker did with a batch, for the ledger to know.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) marks: Vec<Mark>,
    postpone: Vec<Postpone>,
}

impl Promoter {
    /// Publishes these, but for what is to be left alone. Answers what the ledger has to be told.
    pub(super) async fn publish(
        &mut self,
        entries: Vec<DueEntry>,
        now: Timestamp,
    ) -> Result<Published, Fault> {
        let Sorted { publish, mut postpone } = self.sort(entries).await?;
        let publish = turns::take(&self.ctx, publish).await?;
        let answers = match self.send_declared(&publish).await {
            Ok(answers) => answers,
            Err(error) => return Err(self.come_back_soon(publish, postpone, error).await),
        };
        let mut marks = Vec::with_capacity(publish.len());
        for (entry, answer) in publish.iter().zip(answers) {
            match answer {
                PublishAnswer::Confirmed => {
                    self.confirmed(entry, now);
                    marks.push(Mark { id: entry.message.id, seq: entry.message.seq });
                }
                PublishAnswer::Refused(reason) => postpone.push(self.refused(entry, &reason)),
                PublishAnswer::Unroutable => {
                    postpone.push(self.refused(entry, "there is no such queue, though it was declared"));
                }
            }
        }
        count(marks.len(), postpone.len());
        Ok(Published { marks, postpone })
    }

    /// Marks what the broker confirmed, and puts off the rest.
    pub(super) async fn record(&self, published: Published) -> Result<(), LedgerError> {
        if !published.marks.is_empty() {
            self.mark(published.marks).await?;
            failpoint!("beat.promote.marked");
        }
        self.postpone(published.postpone).await
    }

    /// Leaves alone what a queue would refuse again, and what was published before and still waits for a worker.
    async fn sort(&mut self, entries: Vec<DueEntry>) -> Result<Sorted, Fault> {
        let empty = self.empty_queues(&entries).await?;
        let now = self.ctx.monotonic();
        let mut sorted = Sorted::default();
        for entry in entries {
            let queue = &entry.message.queue;
            if let Some(left) = self.patience.left(queue, now) {
                sorted.postpone.push(put_off(&entry, spread(left, self.ctx.chance())));
                continue;
            }
            match entry.reason {
                DueReason::Due => sorted.publish.push(entry),
                DueReason::Unclaimed { overtaken, .. } if overtaken || empty.contains(queue) => {
                    sorted.publish.push(entry);
                }
                DueReason::Unclaimed { looks, .. } => sorted.postpone.push(put_off(&entry, next_look(looks))),
            }
        }
        Ok(sorted)
    }

    /// Of the queues of unclaimed entries those that hold nothing: a message published to them was claimed or lost.
    async fn empty_queues(&self, entries: &[DueEntry]) -> Result<BTreeSet<QueueName>, TransportError> {
        let waits = |entry: &&DueEntry| matches!(entry.reason, DueReason::Unclaimed { .. });
        let queues: BTreeSet<_> =
            entries.iter().filter(waits).map(|entry| entry.message.queue.clone()).collect();
        let mut empty = BTreeSet::new();
        for queue in queues {
            let depth = self.ctx.broker(self.ctx.transport.depth(&queue)).await?;
            if depth.is_none_or(|depth| depth.ready == 0) {
                empty.insert(queue);
            }
        }
        Ok(empty)
    }

    /// Publishes, and answers for each. Queues that turn out to be missing are declared, and tried once more.
    async fn send_declared(&self, entries: &[DueEntry]) -> Result<Vec<PublishAnswer>, TransportError> {
        let mut answers = match self.send(entries.iter()).await {
            // The fault of one queue must not keep the others waiting.
            Err(TransportError::Refused(_)) => self.send_by_queue(entries).await?,
            other => other?,
        };
        let missing: Vec<usize> =
            (0..answers.len()).filter(|&index| answers[index] == PublishAnswer::Unroutable).collect();
        if missing.is_empty() {
            return Ok(answers);
        }
        let refusals = self.declare(missing.iter().map(|&index| &entries[index])).await?;
        let (refused, again): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|&index| refusals.contains_key(&entries[index].message.queue));
        for index in refused {
            answers[index] = PublishAnswer::Refused(refusals[&entries[index].message.queue].clone());
        }
        let second = self.send(again.iter().map(|&index| &entries[index])).await?;
        for (index, answer) in again.into_iter().zip(second) {
            answers[index] = answer;
        }
        Ok(answers)
    }

    async fn send(
        &self,
        entries: impl Iterator<Item = &DueEntry>,
    ) -> Result<Vec<PublishAnswer>, TransportError> {
        let outgoing = |entry: &DueEntry| Outgoing {
            queue: entry.message.queue.clone(),
            message: entry.message.encode(),
        };
        let batch: Vec<Outgoing> = entries.map(outgoing).collect();
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let counted = Publishing::of(&batch);
        let answers = self.ctx.broker(self.ctx.transport.publish(batch)).await?;
        counted.answered(&answers);
        Ok(answers)
    }

    /// Publishes queue by queue; what the broker refuses altogether counts as refused by that queue.
    async fn send_by_queue(&self, entries: &[DueEntry]) -> Result<Vec<PublishAnswer>, TransportError> {
        let mut by_queue: BTreeMap<&QueueName, Vec<usize>> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            by_queue.entry(&entry.message.queue).or_default().push(index);
        }
        let mut answers = vec![PublishAnswer::Unroutable; entries.len()];
        for indexes in by_queue.into_values() {
            let sent = match self.send(indexes.iter().map(|&index| &entries[index])).await {
                Err(TransportError::Refused(reason)) => vec![PublishAnswer::Refused(reason); indexes.len()],
                other => other?,
            };
            for (index, answer) in indexes.into_iter().zip(sent) {
                answers[index] = answer;
            }
        }
        Ok(answers)
    }

    /// Declares the queues of these; answers those that the broker refuses to make.
    async fn declare(
        &self,
        entries: impl Iterator<Item = &DueEntry>,
    ) -> Result<BTreeMap<QueueName, String>, TransportError> {
        let queues: BTreeSet<QueueName> = entries.map(|entry| entry.message.queue.clone()).collect();
        let mut refusals = BTreeMap::new();
        for queue in queues {
            match self.ctx.broker(self.ctx.transport.declare(std::slice::from_ref(&queue))).await {
                Ok(()) => {}
                Err(TransportError::Refused(reason)) => drop(refusals.insert(queue, reason)),
                Err(error) => return Err(error),
            }
        }
        Ok(refusals)
    }

    fn confirmed(&mut self, entry: &DueEntry, now: Timestamp) {
        let message = &entry.message;
        if self.patience.took(&message.queue) {
            tracing::info!(queue = %message.queue, "this queue takes tasks again");
        }
        let first_run = message.attempts == 0 && message.crashes == 0 && entry.reason == DueReason::Due;
        if message.occurrence.is_some() && first_run {
            let published = self.ctx.clock.now().unwrap_or(now);
            let late = clock::until(entry.due_at, published);
            metrics::histogram!(telemetry::LATENESS_SECONDS).record(late.as_secs_f64());
        }
    }

    fn refused(&mut self, entry: &DueEntry, reason: &str) -> Postpone {
        let queue = &entry.message.queue;
        let now = self.ctx.monotonic();
        // Every entry of one batch is refused at once, and counts as one refusal.
        let wait = self.patience.left(queue, now).unwrap_or_else(|| {
            let (wait, first) = self.patience.refused(queue, now);
            if first {
                tracing::warn!(%queue, reason, "this queue refuses tasks; those that are due wait on the agenda");
            }
            wait
        });
        put_off(entry, spread(wait, self.ctx.chance()))
    }

    /// Marks what was confirmed. Tries again while the entries' lease lasts, since what is not marked is published again.
    async fn mark(&self, marks: Vec<Mark>) -> Result<(), LedgerError> {
        let mut tries = 1;
        loop {
            match self.ctx.ledger("mark", self.ctx.store.agenda.mark(marks.clone())).await {
                Err(error) if tries >= MARK_TRIES => return Err(error),
                Err(_) => {
                    tokio::time::sleep(backoff(tries, self.ctx.chance())).await;
                    tries += 1;
                }
                // What moved or ended meanwhile was overtaken by its own worker, or by a person.
                Ok(_) => return Ok(()),
            }
        }
    }

    async fn postpone(&self, postponed: Vec<Postpone>) -> Result<(), LedgerError> {
        if postponed.is_empty() {
            return Ok(());
        }
        self.ctx.ledger("postpone", self.ctx.store.agenda.postpone(postponed)).await
    }

    /// The broker was away: the entries are due again soon, instead of when their lease ends.
    async fn come_back_soon(
        &self,
        entries: Vec<DueEntry>,
        mut postponed: Vec<Postpone>,
        error: TransportError,
    ) -> Fault {
        let due = entries.iter().filter(|entry| entry.reason == DueReason::Due);
        postponed.extend(due.map(|entry| put_off(entry, spread(AWAY, self.ctx.chance()))));
        if let Err(error) = self.postpone(postponed).await {
            tracing::debug!(%error, "entries come back when their lease ends");
        }
        error.into()
    }
}

fn count(confirmed: usize, put_off: usize) {
    metrics::counter!(telemetry::PROMOTED).increment(confirmed as u64);
    if confirmed + put_off > 0 {
        tracing::debug!(confirmed, put_off, "promoted what was due");
    }
}

fn put_off(entry: &DueEntry, by: Duration) -> Postpone {
    Postpone { id: entry.message.id, seq: entry.message.seq, by }
}
