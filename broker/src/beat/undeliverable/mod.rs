//! Empties the queue of what no worker could take: what can be read goes back onto the agenda, the rest becomes dead.
//! Acknowledges only what the ledger has.

mod fate;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use upbeat_shared::hook::Dead;
use upbeat_shared::id::{OwnerId, TaskId, Token};
use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, OwnedClaim, SettleAnswer, Settlement};
use upbeat_shared::message::Message;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::{Acknowledge, Delivery, DeliveryTag, TransportError};
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use super::context::Context;
use super::dead;
use super::health::{Fault, Part};
use super::reap::Alive;
use fate::{Fate, fate};

/// Messages in this beat's hands at once.
const PREFETCH: u32 = 50;

/// How long to wait for messages before looking whether there is something else to do.
const QUIET: Duration = Duration::from_secs(60);

/// Empties the queue until the beat is stopped.
pub(super) async fn run(ctx: Arc<Context>, mut alive: watch::Receiver<Option<Alive>>) {
    // Only a member that the ledger knows can claim what it declares dead.
    tokio::select! {
        biased;
        () = ctx.stop.cancelled() => return,
        known = alive.wait_for(Option::is_some) => if known.is_err() { return },
    }
    let mut failures = 0;
    while !ctx.stop.is_cancelled() {
        let outcome = empty(&ctx, &alive).await;
        ctx.conclude(Part::Undeliverable, outcome, &mut failures).await;
    }
}

/// Takes in what comes, until the consumer ends or the beat is stopped.
async fn empty(ctx: &Context, alive: &watch::Receiver<Option<Alive>>) -> Result<(), Fault> {
    let queue = QueueName::undeliverable();
    ctx.broker(ctx.transport.declare(std::slice::from_ref(&queue))).await?;
    let mut consumer = ctx.broker(ctx.transport.consume(&queue, PREFETCH)).await?;
    ctx.board.succeeded(Part::Undeliverable);
    let acknowledger = consumer.acknowledger();
    loop {
        let deliveries = tokio::select! {
            biased;
            () = ctx.stop.cancelled() => return Ok(()),
            next = tokio::time::timeout(QUIET, consumer.next(PREFETCH as usize)) => match next {
                Ok(deliveries) => deliveries?,
                Err(_) => continue,
            },
        };
        let Some(me) = *alive.borrow() else { continue };
        take_in(ctx, me.owner, deliveries, acknowledger.as_ref()).await?;
    }
}

async fn take_in(
    ctx: &Context,
    me: OwnerId,
    deliveries: Vec<Delivery>,
    acknowledger: &dyn Acknowledge,
) -> Result<(), Fault> {
    let mut tags: Vec<DeliveryTag> = Vec::with_capacity(deliveries.len());
    let mut parks = Vec::new();
    let mut buried = 0_u32;
    for delivery in deliveries {
        tags.push(delivery.tag);
        let clock = ctx.clock.clock();
        let now = ctx.clock.now().unwrap_or_else(|| clock.wall());
        match fate(&delivery.message, &ctx.options.namespace, &ctx.options.limits, || {
            TaskId::drawn(now, &**clock)
        }) {
            Fate::Park(park) => parks.push(*park),
            Fate::Bury { message, other_id, reason } => {
                tracing::debug!(task = %message.id, reason, "a message cannot be understood and becomes a dead task");
                bury(ctx, me, *message, other_id, &reason).await?;
                buried += 1;
            }
        }
    }
    let parked = parks.len();
    if parked > 0 {
        let answers = ctx.ledger("park", ctx.store.agenda.park(parks.clone())).await?;
        dead::parked(ctx, parks, answers).await;
    }
    tracing::warn!(
        parked,
        buried,
        "took in what no worker could take; see the dead tasks named {}",
        fate::NAME
    );
    // Record before ack: a crash here repeats this, and the ledger has them already.
    ctx.broker(acknowledger.acknowledge(tags)).await?;
    Ok(())
}

/// Makes a dead task of it, by the claim table: what was buried before is not buried again.
async fn bury(
    ctx: &Context,
    me: OwnerId,
    mut message: Message,
    other_id: TaskId,
    reason: &str,
) -> Result<(), Fault> {
    let known = ctx.ledger("get", ctx.store.inspect.get(vec![message.id])).await?;
    let is_another = |record: &upbeat_shared::task::TaskRecord| record.message.name != message.name;
    if known.into_iter().flatten().any(|record| is_another(&record)) {
        // A task of this id goes its own way; this broken copy of it must not end it.
        message.id = other_id;
    }
    let request = ClaimRequest::new(message, Token::drawn(&**ctx.clock.clock()));
    let id = request.message.id;
    let token = request.token;
    // The same token each time: after a lost reply the ledger gives the same answer.
    let answers = ctx.persist("claim", || ctx.store.ledger.claim(me, vec![request.clone()])).await?;
    let claim = match answers.into_iter().next() {
        Some(ClaimAnswer::Acquired(claim)) => claim,
        Some(ClaimAnswer::Retired) | None => {
            return Err(TransportError::ConsumerLost("this beat was declared lost meanwhile".into()).into());
        }
        Some(
            ClaimAnswer::Done(_)
            | ClaimAnswer::Busy
            | ClaimAnswer::Stale
            | ClaimAnswer::Ended(_)
            | ClaimAnswer::Limited { .. },
        ) => return Ok(()),
    };
    let error = RunError::new(RunErrorKind::Undeliverable, reason);
    let dead = Dead { at: ctx.clock.now(), ..dead::buried(request.message, error.clone()) };
    let settlement = Settlement {
        owner: me,
        claim: OwnedClaim { id, fence: claim.fence, token },
        verdict: Verdict::Dead { error },
        then: dead::notice(ctx, &dead).into_iter().collect(),
    };
    // What was claimed must not stay running in this beat's name.
    let answers = ctx.persist("settle", || ctx.store.ledger.settle(vec![settlement.clone()])).await?;
    if answers.first() == Some(&SettleAnswer::Applied(TaskState::Dead)) {
        ctx.hooks.dead(|| dead);
    }
    Ok(())
}
