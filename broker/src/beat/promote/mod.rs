//! Promotes the agenda: what is due is leased, published, and marked once the broker confirmed it. Never marks what was
//! not confirmed: a crash anywhere publishes again, it never loses.

mod patience;
mod publish;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::failpoint;
use upbeat_shared::ledger::{DueBatch, LedgerError};

use super::context::Context;
use super::health::{Fault, Part};
use super::wake::Wake;
use patience::Patience;
use publish::Promoter;

/// How long nothing is asked of the agenda, if nothing wakes the beat.
const LOOK: Duration = Duration::from_secs(1);

/// The shortest time between two looks that found nothing.
const SHORTEST_LOOK: Duration = Duration::from_millis(5);

/// Promotes what is due, until the beat is stopped.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut promoter = Promoter { ctx: ctx.clone(), patience: Patience::default() };
    let (mut failures, mut overdue) = (0, 0);
    let mut reachable = true;
    while !ctx.stop.is_cancelled() {
        // Listen before looking: what comes in between wakes this round.
        let wake = Wake::listen(&ctx.store.agenda, LOOK).await;
        let outcome = round(&ctx, &mut promoter, reachable).await;
        reachable = !matches!(outcome, Err(Fault::Broker(_)));
        let looked = outcome.as_ref().ok().copied();
        ctx.conclude(Part::Promote, outcome.map(drop), &mut failures).await;
        if let Some(looked) = looked {
            overdue = if looked.is_overdue() { overdue + 1 } else { 0 };
            rest(&ctx, wake, looked.next, overdue).await;
        }
    }
}

/// The end of a round.
#[derive(Clone, Copy, Debug)]
struct Looked {
    /// The store's time of the last look.
    at: Timestamp,
    /// When the next one is worth it.
    next: Option<Timestamp>,
}

impl Looked {
    /// The ledger says that something is due, and does not give it out: another look at once would hardly help.
    fn is_overdue(self) -> bool {
        self.next.is_some_and(|next| next <= self.at)
    }
}

/// Promotes, on demand, what is due.
#[cfg(feature = "testing")]
pub(super) struct Promotion(Promoter);

#[cfg(feature = "testing")]
impl Promotion {
    pub(super) fn new(ctx: Arc<Context>) -> Self {
        Self(Promoter { ctx, patience: Patience::default() })
    }

    /// Promotes everything that is due now; answers when the next entry is, if there is one.
    pub(super) async fn promote_due(&mut self) -> Result<Option<Timestamp>, Fault> {
        let ctx = self.0.ctx.clone();
        Ok(round(&ctx, &mut self.0, true).await?.next)
    }
}

/// Promotes everything that is due now.
async fn round(ctx: &Context, promoter: &mut Promoter, reachable: bool) -> Result<Looked, Fault> {
    if !reachable {
        // Leases nothing that could not be published anyway.
        ctx.broker(ctx.transport.ping()).await?;
    }
    let mut batch = lease(ctx).await?;
    while !batch.entries.is_empty() {
        let published = promoter.publish(batch.entries, batch.now).await?;
        if !published.marks.is_empty() {
            failpoint!("beat.promote.confirmed");
        }
        if ctx.stop.is_cancelled() {
            promoter.record(published).await?;
            break;
        }
        // What came due meanwhile is leased while this batch is marked.
        let (recorded, following) = tokio::join!(promoter.record(published), lease(ctx));
        recorded?;
        batch = following?;
    }
    Ok(Looked { at: batch.now, next: batch.next })
}

async fn lease(ctx: &Context) -> Result<DueBatch, LedgerError> {
    let sent = ctx.monotonic();
    let due = ctx.store.agenda.due(ctx.options.batch, ctx.options.entry_lease);
    let batch = ctx.ledger("due", due).await?;
    ctx.clock.observe(sent, batch.now);
    if !batch.entries.is_empty() {
        failpoint!("beat.promote.leased");
    }
    Ok(batch)
}

/// Waits until the next entry is due, something comes onto the agenda, or the beat is stopped.
async fn rest(ctx: &Context, wake: Wake, next: Option<Timestamp>, overdue: u32) {
    let until_next = match (next, ctx.clock.now()) {
        (Some(next), Some(now)) => clock::until(now, next).min(LOOK),
        _ => LOOK,
    };
    let woken = async {
        tokio::time::sleep(SHORTEST_LOOK).await;
        wake.woken().await;
    };
    tokio::select! {
        biased;
        () = ctx.stop.cancelled() => {}
        () = tokio::time::sleep(until_next.max(shortest_rest(overdue))) => {}
        () = woken => {}
    }
}

/// From a millisecond, which is no spinning, up to a tenth of a second, when something is overdue look after look.
fn shortest_rest(overdue: u32) -> Duration {
    Duration::from_millis(1 << overdue.min(7)).min(Duration::from_millis(100))
}
