//! Plans occurrences: what passed since a schedule's cursor goes onto the agenda, in the transaction that moves the
//! cursor. Never plans beyond the store's now, and never publishes.

mod batch;
mod book;
mod occurrence;
pub(super) mod past;
mod step;
#[cfg(test)]
mod tests;
mod watched;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use upbeat_shared::clock;

use super::context::Context;
use super::health::{Fault, Part};
use super::leases::{Held, shard_of};
use super::wake::Wake;
use book::Book;

pub use occurrence::occurrence_message;

/// How often the catalog is asked whether it changed.
const POLL: Duration = Duration::from_millis(500);

/// How soon it is asked again at the earliest, however often something wakes the planner.
const SHORTEST_POLL: Duration = Duration::from_millis(50);

/// A step back of the store's clock by more than this makes cursors lie in the future.
const SET_BACK: Duration = Duration::from_secs(3600);

/// Plans the shards that this beat holds, until it is stopped.
pub(super) async fn run(ctx: Arc<Context>, held: watch::Receiver<Held>) {
    let mut planner = Planner::new(ctx.clone(), held);
    let mut failures = 0;
    while !ctx.stop.is_cancelled() {
        // Listen before looking: what comes in between wakes this round.
        let wake = Wake::listen(&ctx.store.agenda, POLL).await;
        let outcome = planner.round().await;
        let idle = matches!(outcome, Ok(Round::Idle));
        ctx.conclude(Part::Plan, outcome.map(drop), &mut failures).await;
        if idle {
            planner.rest(wake).await;
        }
    }
}

/// What a round found.
pub(super) enum Round {
    /// Something was due; more may be.
    Busy,
    /// Nothing is due now.
    Idle,
}

/// Plans by what it knows of the catalog.
pub(super) struct Planner {
    ctx: Arc<Context>,
    held: watch::Receiver<Held>,
    shards: BTreeSet<u32>,
    /// The catalog's version that the book was loaded from; `None` to load it again.
    version: Option<u64>,
    book: Book,
    /// When the catalog was asked last, on the monotonic clock.
    polled: Option<Duration>,
    /// The latest instant seen, to notice when the store's clock is set back.
    latest: Timestamp,
}

impl Planner {
    pub(super) fn new(ctx: Arc<Context>, held: watch::Receiver<Held>) -> Self {
        Self {
            ctx,
            held,
            shards: BTreeSet::new(),
            version: None,
            book: Book::default(),
            polled: None,
            latest: Timestamp::MIN,
        }
    }

    /// Plans everything that is due now; answers when the next look is due, if ever.
    #[cfg(feature = "testing")]
    pub(super) async fn plan_due(&mut self) -> Result<Option<Timestamp>, Fault> {
        // Whatever changed in the catalog counts at once.
        self.polled = None;
        while matches!(self.round().await?, Round::Busy) {}
        Ok(self.book.next())
    }

    /// Plans one batch of what is due.
    pub(super) async fn round(&mut self) -> Result<Round, Fault> {
        let now = match self.ctx.clock.now() {
            Some(now) => now,
            None => self.ctx.sample().await?,
        };
        self.notice_time(now);
        self.notice_shards();
        self.follow_catalog(now).await?;
        let due = self.book.due(now, self.ctx.options.batch);
        if due.is_empty() {
            return Ok(Round::Idle);
        }
        self.plan_batch(due, now).await?;
        Ok(Round::Busy)
    }

    fn notice_time(&mut self, now: Timestamp) {
        if clock::later(now, SET_BACK) < self.latest {
            tracing::error!(was = %self.latest, is = %now, "the store's clock was set back; cursors are brought back to it");
            self.version = None;
            self.latest = now;
        }
        self.latest = self.latest.max(now);
    }

    fn notice_shards(&mut self) {
        let shards = self.held.borrow_and_update().at(self.ctx.monotonic());
        if shards != self.shards {
            tracing::debug!(?shards, "plans these shards from now on");
            self.shards = shards;
            // Their cursors may have moved since the book was loaded.
            self.version = None;
        }
    }

    /// Loads the book again if the catalog changed.
    async fn follow_catalog(&mut self, now: Timestamp) -> Result<(), Fault> {
        if self.shards.is_empty() {
            self.book = Book::default();
            self.ctx.watches.keep(|_| false);
            return Ok(());
        }
        let asked = self.ctx.monotonic();
        let fresh = self.polled.is_some_and(|polled| asked.saturating_sub(polled) < SHORTEST_POLL);
        if self.version.is_some() && fresh {
            return Ok(());
        }
        let catalog = &self.ctx.store.catalog;
        if self.version.is_none()
            || self.version != Some(self.ctx.ledger("version", catalog.version()).await?)
        {
            let snapshot = self.ctx.ledger("snapshot", catalog.snapshot()).await?;
            let shards = self.ctx.options.shards;
            let mine = |id: &_| self.shards.contains(&shard_of(id, shards));
            let records: Vec<_> = snapshot.schedules.into_iter().filter(|record| mine(&record.id)).collect();
            let new = self.newcomers(&records);
            self.book.load(records.into_iter(), now);
            self.watch_newcomers(&new, now);
            self.version = Some(snapshot.version);
            tracing::debug!(version = snapshot.version, schedules = self.book.len(), "follows the catalog");
        }
        self.polled = Some(self.ctx.monotonic());
        Ok(())
    }

    /// Waits for the next instant, for a change of the catalog or of the shards, or for a stop.
    async fn rest(&mut self, wake: Wake) {
        let until_next = match (self.book.next(), self.ctx.clock.now()) {
            (Some(next), Some(now)) => clock::until(now, next).min(POLL),
            _ => POLL,
        };
        let woken = async {
            // A busy agenda wakes all the time; the catalog need not be asked each time.
            tokio::time::sleep(SHORTEST_POLL).await;
            wake.woken().await;
        };
        tokio::select! {
            biased;
            () = self.ctx.stop.cancelled() => {}
            () = tokio::time::sleep(until_next) => {}
            () = woken => {}
            _ = self.held.changed() => {}
        }
    }
}
