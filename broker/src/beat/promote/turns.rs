//! Fair queues: what is due is published when it is its turn, or stands in the ledger's line until then.

use upbeat_shared::ledger::{DueEntry, DueReason, LedgerError};
use upbeat_shared::limit::{Turn, whose_turn_it_is};

use super::super::context::Context;

/// Leaves out those whose turn it is not; the ledger makes them due when it is.
pub(super) async fn take(ctx: &Context, entries: Vec<DueEntry>) -> Result<Vec<DueEntry>, LedgerError> {
    let fair = &ctx.options.fair;
    let turn = |entry: &DueEntry| match entry.reason {
        DueReason::Due => fair.turn(&entry.message),
        // It was published in its turn before.
        DueReason::Unclaimed { .. } => None,
    };
    let turns: Vec<Option<Turn>> = entries.iter().map(turn).collect();
    let asked: Vec<Turn> = turns.iter().flatten().cloned().collect();
    if asked.is_empty() {
        return Ok(entries);
    }
    let answers = ctx.ledger("line_up", ctx.store.ledger.line_up(asked)).await?;
    Ok(whose_turn_it_is(entries, &turns, answers))
}
