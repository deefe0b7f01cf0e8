//! Fair queues: what is due is published when it is its turn, or stands in the ledger's line until then.

use upbeat_shared::ledger::{DueEntry, DueReason, LedgerError};
use upbeat_shared::limit::Turn;

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
    let mut answers = ctx.ledger("line_up", ctx.store.ledger.line_up(asked)).await?.into_iter();
    let goes = |turn: &Option<Turn>| turn.is_none() || answers.next().unwrap_or(false);
    let goes: Vec<bool> = turns.iter().map(goes).collect();
    Ok(entries.into_iter().zip(goes).filter_map(|(entry, goes)| goes.then_some(entry)).collect())
}
