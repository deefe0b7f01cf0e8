//! Tells running tasks that somebody asked them to stop, sooner than the next heartbeat would.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Context;
use crate::job::verdict::StopReason;

/// How often it looks while something runs. One look is one cheap question.
const EVERY: Duration = Duration::from_millis(500);

/// Looks until told otherwise.
pub(crate) async fn watch_forever(ctx: Arc<Context>, done: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if ctx.health.running() == 0 || !ctx.gate.ledger_up() {
            continue;
        }
        let owner = ctx.member.owner();
        // An error was handled where it happened: heartbeats tell of cancels too.
        if let Ok(cancels) = ctx.ledger("cancels", ctx.store.ledger.cancels(owner)).await {
            ctx.held.stop(&cancels, StopReason::Cancelled);
        }
    }
}
