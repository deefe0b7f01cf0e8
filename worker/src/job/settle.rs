//! Verdicts to the ledger, many at a time. Only what is settled here is acknowledged afterwards.

use std::sync::Arc;

use tokio::sync::mpsc;
use upbeat_shared::ledger::{LedgerError, SettleAnswer, Settlement};
use upbeat_shared::message::Message;
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use super::{committed, dead};
use crate::runtime::Context;
use crate::runtime::receipt::{Acks, Receipt};

/// Verdicts settled in one question to the ledger, at most.
const BATCH: usize = 500;

/// A run that ended, with its verdict.
pub(crate) struct Finished {
    pub(crate) settlement: Settlement,
    pub(crate) ran: Ran,
    /// `None` where the delivery was acknowledged with the claim.
    pub(crate) receipt: Option<Receipt>,
}

/// What ran, for those who are told what became of it.
pub(crate) struct Ran {
    pub(crate) message: Arc<Message>,
    /// Failures before this run.
    pub(crate) attempts: u32,
    pub(crate) crashes: u32,
}

/// What the ledger is asked to settle.
type Batch = Vec<(Settlement, Ran)>;

/// Settles what comes until every sender is gone. While the ledger is away, the verdicts wait here, and those behind
/// them keep their slots.
pub(crate) async fn settle_forever(ctx: Arc<Context>, mut finished: mpsc::Receiver<Finished>, acks: Acks) {
    let mut batch = Vec::new();
    while finished.recv_many(&mut batch, BATCH).await > 0 {
        let receipts = settle_all(&ctx, std::mem::take(&mut batch)).await;
        // An error means that nobody acknowledges any more: the broker delivers again, and the ledger knows.
        let _ = acks.send(receipts).await;
    }
}

/// Settles what has ended; answers the deliveries that are done with.
pub(crate) async fn settle_all(ctx: &Context, batch: Vec<Finished>) -> Vec<Receipt> {
    let (verdicts, receipts): (Batch, Vec<_>) =
        batch.into_iter().map(|Finished { settlement, ran, receipt }| ((settlement, ran), receipt)).unzip();
    let tokens: Vec<_> = verdicts.iter().map(|(settlement, _)| settlement.claim.token).collect();
    settle(ctx, verdicts).await;
    upbeat_shared::failpoint!("worker.settled");
    ctx.held.forget(tokens.into_iter());
    receipts.into_iter().flatten().collect()
}

/// Settles a batch, for as long as it takes. What the ledger refuses is tried one by one, so that one verdict that it
/// cannot store holds up no other.
async fn settle(ctx: &Context, batch: Batch) {
    let settlements = || batch.iter().map(|(settlement, _)| settlement.clone()).collect();
    match ask(ctx, settlements).await {
        Ok(answers) => {
            for ((settlement, ran), answer) in batch.iter().zip(answers) {
                tell(ctx, settlement, ran, answer).await;
            }
        }
        Err(error) if batch.len() == 1 => {
            for (settlement, ran) in batch {
                settle_less(ctx, settlement, &ran, error.clone()).await;
            }
        }
        Err(_) => {
            for (settlement, ran) in batch {
                if let Err(error) = settle_one(ctx, &settlement, &ran).await {
                    settle_less(ctx, settlement, &ran, error).await;
                }
            }
        }
    }
}

async fn settle_one(ctx: &Context, settlement: &Settlement, ran: &Ran) -> Result<(), LedgerError> {
    for answer in ask(ctx, || vec![settlement.clone()]).await? {
        tell(ctx, settlement, ran, answer).await;
    }
    Ok(())
}

/// Settles a verdict that the ledger refused with less in it: without what follows it, without its result, then as dead.
async fn settle_less(ctx: &Context, mut settlement: Settlement, ran: &Ran, mut error: LedgerError) {
    while let Some(mut with_less) = less(&settlement, &error) {
        tracing::warn!(id = %settlement.claim.id, %error, "the ledger refused a verdict; trying one with less in it");
        if !matches!(settlement.verdict, Verdict::Dead { .. }) {
            with_less.then = dead::then(ctx, ran, &with_less.verdict);
        }
        settlement = with_less;
        match settle_one(ctx, &settlement, ran).await {
            Ok(()) => return,
            Err(again) => error = again,
        }
    }
    tracing::error!(id = %settlement.claim.id, %error, "the ledger refuses every verdict on this task; it will run again");
}

fn less(settlement: &Settlement, error: &LedgerError) -> Option<Settlement> {
    let alone = |verdict| Some(Settlement { verdict, then: Vec::new(), ..*settlement });
    if !settlement.then.is_empty() {
        return alone(settlement.verdict.clone());
    }
    match &settlement.verdict {
        Verdict::Succeeded { result: Some(_) } => alone(Verdict::Succeeded { result: None }),
        Verdict::Dead { .. } => None,
        Verdict::Succeeded { result: None }
        | Verdict::Retry { .. }
        | Verdict::Snooze { .. }
        | Verdict::Cancelled { .. }
        | Verdict::Released { .. } => {
            let message = format!("the verdict could not be stored: {error}");
            alone(Verdict::Dead { error: RunError::new(RunErrorKind::Failed, message) })
        }
    }
}

/// Asks until the ledger answers, or refuses what it was asked.
async fn ask(ctx: &Context, batch: impl Fn() -> Vec<Settlement>) -> Result<Vec<SettleAnswer>, LedgerError> {
    loop {
        match ctx.ledger("settle", ctx.store.ledger.settle(batch())).await {
            Ok(answers) => return Ok(answers),
            Err(error @ LedgerError::Invalid(_)) => return Err(error),
            // Repeating is harmless: what was settled by a lost request answers so.
            Err(_) => tokio::time::sleep(ctx.ledger_backoff()).await,
        }
    }
}

async fn tell(ctx: &Context, settlement: &Settlement, ran: &Ran, answer: SettleAnswer) {
    let id = settlement.claim.id;
    match answer {
        SettleAnswer::Applied(state) if settlement.stands(state) => {
            dead::settled(ctx, ran, &settlement.verdict);
        }
        SettleAnswer::Applied(_) => {
            tracing::info!(%id, "the task was cancelled while it ran; it does not run again");
        }
        SettleAnswer::AlreadySettled if matches!(settlement.verdict, Verdict::Succeeded { .. }) => {
            tracing::debug!(%id, "the run has settled itself, or this verdict was settled before");
        }
        SettleAnswer::AlreadySettled if committed::has_succeeded(ctx, settlement).await => {
            tracing::info!(%id, "the run succeeded in a transaction of its own; what it said afterwards falls away");
        }
        SettleAnswer::AlreadySettled => {
            tracing::debug!(%id, "this verdict was settled before");
            // By a request of ours whose answer got lost, so that nobody was told yet.
            dead::settled(ctx, ran, &settlement.verdict);
        }
        SettleAnswer::Stale => tracing::warn!(
            %id,
            fence = settlement.claim.fence.0,
            "another worker holds this task, or it ended; this run's verdict was refused"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use upbeat_shared::id::{Fence, OwnerId, TaskId, Token};
    use upbeat_shared::ledger::{Due, NewEntry, OwnedClaim};
    use upbeat_shared::message::Payload;
    use upbeat_shared::name::{QueueName, TaskName};

    #[test]
    fn a_refused_verdict_loses_what_follows_then_its_result_and_ends_as_dead() {
        let error = LedgerError::Invalid("no".into());
        let result = Some(Payload::json(&1).unwrap());
        let id = TaskId::new("2026-05-01T12:00:00Z".parse().unwrap());
        let claim = OwnedClaim { id, fence: Fence(1), token: Token(1) };
        let name = TaskName::new("a").unwrap();
        let message = Message::new(id, name, QueueName::default_queue(), Payload::json(&1).unwrap());
        let then = vec![NewEntry { message, due: Due::In(Duration::ZERO), cover: Duration::ZERO }];
        let verdict = Verdict::Succeeded { result };
        let whole = Settlement { owner: OwnerId::random(), claim, verdict: verdict.clone(), then };
        let alone = less(&whole, &error).unwrap();
        assert_eq!((&alone.verdict, alone.then.len()), (&verdict, 0));
        let without = less(&alone, &error).unwrap();
        assert_eq!(without.verdict, Verdict::Succeeded { result: None });
        let dead = less(&without, &error).unwrap();
        assert!(matches!(dead.verdict, Verdict::Dead { .. }));
        assert_eq!(less(&dead, &error), None);
    }
}
