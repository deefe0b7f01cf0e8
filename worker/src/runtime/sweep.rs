//! Releases rows that run in this worker's name and that nobody here runs: claims whose answer got lost.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use upbeat_shared::ledger::LedgerError;

use super::Context;

/// How often it looks without being asked. A claim that was answered too late may be committed after any earlier look.
const EVERY: Duration = Duration::from_mins(1);

/// Looks every minute, and after the ledger failed, until told otherwise.
pub(crate) async fn sweep_forever(ctx: Arc<Context>, done: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = ctx.sweep.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
        if !ctx.gate.ledger_up() {
            continue;
        }
        match sweep(&ctx).await {
            Ok(0) => {}
            Ok(released) => tracing::info!(released, "released tasks that were claimed by a lost request"),
            // Handled where it failed: when the ledger is back, it asks for another sweep.
            Err(error) => tracing::debug!(%error, "the sweep failed"),
        }
    }
}

async fn sweep(ctx: &Context) -> Result<u64, LedgerError> {
    let owner = ctx.member.owner();
    let mut strays = ctx.ledger("mine", ctx.store.ledger.mine(owner)).await?;
    // Looked up after the answer: what is not held now was settled or given up, or its request was lost. Releasing names
    // fence and token, so it cannot touch what was claimed since.
    strays.retain(|claim| !ctx.held.holds(claim.token));
    if strays.is_empty() {
        return Ok(0);
    }
    ctx.ledger("release", ctx.store.ledger.release(owner, strays)).await
}
