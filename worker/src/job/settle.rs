//! Verdicts to the ledger, many at a time. Only what is settled here is acknowledged afterwards.

use std::sync::Arc;

use tokio::sync::mpsc;
use upbeat_shared::ledger::{LedgerError, SettleAnswer, Settlement};
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use crate::runtime::Context;
use crate::runtime::receipt::{Acks, Receipt};

/// Verdicts settled in one question to the ledger, at most.
const BATCH: usize = 500;

/// A run that ended, with its verdict.
pub(crate) struct Finished {
    pub(crate) settlement: Settlement,
    /// `None` where the delivery was acknowledged with the claim.
    pub(crate) receipt: Option<Receipt>,
}

/// Settles what comes until every sender is gone. While the ledger is away, the verdicts wait here, and those behind
/// them keep their slots.
pub(crate) async fn settle_forever(ctx: Arc<Context>, mut finished: mpsc::Receiver<Finished>, acks: Acks) {
    let mut batch = Vec::new();
    while finished.recv_many(&mut batch, BATCH).await > 0 {
        let (settlements, receipts): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|finished| (finished.settlement, finished.receipt)).unzip();
        let tokens: Vec<_> = settlements.iter().map(|settlement| settlement.claim.token).collect();
        settle(&ctx, settlements).await;
        upbeat_shared::failpoint!("worker.settled");
        ctx.held.forget(tokens.into_iter());
        // An error means that nobody acknowledges any more: the broker delivers again, and the ledger knows.
        let _ = acks.send(receipts.into_iter().flatten().collect()).await;
    }
}

/// Settles a batch, for as long as it takes. What the ledger refuses is tried one by one, so that one verdict that it
/// cannot store holds up no other.
async fn settle(ctx: &Context, batch: Vec<Settlement>) {
    match ask(ctx, &batch).await {
        Ok(answers) => batch.iter().zip(answers).for_each(|(settlement, answer)| tell(settlement, answer)),
        Err(error) if batch.len() == 1 => {
            for settlement in batch {
                settle_less(ctx, settlement, error.clone()).await;
            }
        }
        Err(_) => {
            for settlement in batch {
                match ask(ctx, std::slice::from_ref(&settlement)).await {
                    Ok(answers) => answers.into_iter().for_each(|answer| tell(&settlement, answer)),
                    Err(error) => settle_less(ctx, settlement, error).await,
                }
            }
        }
    }
}

/// Settles a verdict that the ledger refused with less in it: without its result, then as dead.
async fn settle_less(ctx: &Context, mut settlement: Settlement, mut error: LedgerError) {
    while let Some(verdict) = less(&settlement.verdict, &error) {
        tracing::warn!(id = %settlement.claim.id, %error, "the ledger refused a verdict; trying one with less in it");
        settlement.verdict = verdict;
        match ask(ctx, std::slice::from_ref(&settlement)).await {
            Ok(answers) => return answers.into_iter().for_each(|answer| tell(&settlement, answer)),
            Err(again) => error = again,
        }
    }
    tracing::error!(id = %settlement.claim.id, %error, "the ledger refuses every verdict on this task; it will run again");
}

fn less(verdict: &Verdict, error: &LedgerError) -> Option<Verdict> {
    match verdict {
        Verdict::Succeeded { result: Some(_) } => Some(Verdict::Succeeded { result: None }),
        Verdict::Dead { .. } => None,
        Verdict::Succeeded { result: None }
        | Verdict::Retry { .. }
        | Verdict::Snooze { .. }
        | Verdict::Cancelled { .. }
        | Verdict::Released { .. } => {
            let message = format!("the verdict could not be stored: {error}");
            Some(Verdict::Dead { error: RunError::new(RunErrorKind::Failed, message) })
        }
    }
}

/// Asks until the ledger answers, or refuses what it was asked.
async fn ask(ctx: &Context, batch: &[Settlement]) -> Result<Vec<SettleAnswer>, LedgerError> {
    loop {
        match ctx.ledger("settle", ctx.store.ledger.settle(batch.to_vec())).await {
            Ok(answers) => return Ok(answers),
            Err(error @ LedgerError::Invalid(_)) => return Err(error),
            // Repeating is harmless: what was settled by a lost request answers so.
            Err(_) => tokio::time::sleep(ctx.ledger_backoff()).await,
        }
    }
}

fn tell(settlement: &Settlement, answer: SettleAnswer) {
    let id = settlement.claim.id;
    match answer {
        SettleAnswer::Applied(state) => {
            if !settlement.stands(state) {
                tracing::info!(%id, "the task was cancelled while it ran; it does not run again");
            }
        }
        SettleAnswer::AlreadySettled => tracing::debug!(%id, "this verdict was settled before"),
        SettleAnswer::Stale => tracing::warn!(
            %id,
            fence = settlement.claim.fence.0,
            "another worker holds this task, or it ended; this run's verdict was refused"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::message::Payload;

    #[test]
    fn a_refused_verdict_loses_its_result_first_and_ends_as_dead() {
        let error = LedgerError::Invalid("no".into());
        let result = Some(Payload::json(&1).unwrap());
        let without = less(&Verdict::Succeeded { result }, &error).unwrap();
        assert_eq!(without, Verdict::Succeeded { result: None });
        let dead = less(&without, &error).unwrap();
        assert!(matches!(dead, Verdict::Dead { .. }));
        assert_eq!(less(&dead, &error), None);
    }
}
