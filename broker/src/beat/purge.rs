//! Removes what retention no longer keeps, in small batches with pauses, so that it is never in anybody's way.

use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::ledger::PurgeReport;

use super::context::Context;
use super::health::{Fault, Part};

/// How often to look for something to remove.
const EVERY: Duration = Duration::from_secs(60);

/// Rows of each kind in one batch.
const BATCH: usize = 1000;

/// Between two batches.
const PAUSE: Duration = Duration::from_millis(100);

/// Purges until the beat is stopped.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut failures = 0;
    loop {
        let outcome = purge(&ctx).await;
        ctx.conclude(Part::Purge, outcome, &mut failures).await;
        if !ctx.pause(EVERY).await {
            return;
        }
    }
}

async fn purge(ctx: &Context) -> Result<(), Fault> {
    let mut total = PurgeReport::default();
    loop {
        let report = ctx.ledger("purge", ctx.store.inspect.purge(ctx.options.retention, BATCH)).await?;
        total.details += report.details;
        total.ids += report.ids;
        total.occurrences += report.occurrences;
        total.windows += report.windows;
        total.dead += report.dead;
        if !is_full(report) || !ctx.pause(PAUSE).await {
            break;
        }
    }
    if total != PurgeReport::default() {
        let PurgeReport { details, dead, ids, occurrences, windows, .. } = total;
        tracing::debug!(details, dead, ids, occurrences, windows, "removed what retention no longer keeps");
    }
    Ok(())
}

/// There may be more of some kind.
fn is_full(report: PurgeReport) -> bool {
    let full = BATCH as u64;
    report.more
        || report.details >= full
        || report.dead >= full
        || report.ids >= full
        || report.occurrences >= full
        || report.windows >= full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_batch_of_any_kind_means_that_there_may_be_more() {
        let nearly =
            PurgeReport { details: 999, ids: 0, occurrences: 999, windows: 999, dead: 999, more: false };
        assert!(!is_full(nearly));
        assert!(is_full(PurgeReport { more: true, ..PurgeReport::default() }));
        assert!(is_full(PurgeReport { ids: 1000, ..PurgeReport::default() }));
    }
}
