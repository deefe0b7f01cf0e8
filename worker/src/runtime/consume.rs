//! One consumer for each queue: takes deliveries while the gate is open and slots are to be had, and gives back what it
//! could not use. Never claims.

use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::name::QueueName;
use upbeat_shared::transport::{Acknowledge, Consumer, Delivery, TransportError};

use super::{Context, backoff, in_time, receipt};
use crate::queues::Slot;

/// A delivery without a slot for longer than this goes back, so that another worker can have it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A part of the slots, by which a prefetch grows with every look.
const GROWTH: u32 = 8;
/// How long a slot is kept for a consumer that was just made. The queue may be empty.
const SEAT_WAIT: Duration = Duration::from_millis(200);

/// Why a consumer ended.
enum End {
    /// The gate closed.
    Closed,
    /// Its deliveries waited too long for a slot.
    Crowded,
    /// It could take more than its prefetch allows.
    Roomy,
    /// The broker.
    Failed(TransportError),
}

/// Takes from one line's queue until the worker stops.
///
/// Alone in its worker, a queue has as many deliveries as there are slots, and each of them has one. Beside others it
/// may have more than it gets slots for. Those go back after a while, and it comes back with half the prefetch, once it
/// is its turn at a slot; the prefetch grows again while there is room.
pub(crate) async fn consume_forever(ctx: Arc<Context>, line: usize) {
    let queue = ctx.queues.names()[line].clone();
    let trouble = format!("queue {queue}");
    let full = ctx.queues.slots();
    let mut prefetch = full;
    let mut failures = 0;
    let mut seat = None;
    while ctx.gate.opened(&queue).await {
        let end = consume(&ctx, line, prefetch, seat.take(), &mut failures).await;
        if !matches!(end, End::Roomy) {
            // Whatever the reason: what has not been claimed is for others.
            give_back(&ctx, line).await;
        }
        match end {
            End::Closed => {}
            End::Roomy => prefetch = (prefetch + full.div_ceil(GROWTH)).min(full),
            End::Crowded => {
                prefetch = (prefetch / 2).max(1);
                tokio::select! {
                    () = ctx.gate.closed(&queue) => {}
                    slot = ctx.queues.ask(line) => seat = Some(slot),
                }
            }
            End::Failed(error) => {
                failures += 1;
                ctx.health.trouble(&trouble, error.to_string());
                let wait = backoff::after(failures);
                tracing::warn!(%queue, %error, ?wait, "the consumer failed and is made again after the wait");
                tokio::select! {
                    () = ctx.gate.closed(&queue) => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}

async fn consume(ctx: &Context, line: usize, prefetch: u32, seat: Option<Slot>, failures: &mut u32) -> End {
    let queue = &ctx.queues.names()[line];
    let mut consumer = match start(ctx, queue, prefetch, *failures).await {
        Ok(consumer) => consumer,
        Err(error) => return End::Failed(error),
    };
    *failures = 0;
    ctx.health.well(&format!("queue {queue}"));
    let acknowledge = consumer.acknowledger();
    if let Some(seat) = seat {
        match tokio::time::timeout(SEAT_WAIT, consumer.next(1)).await {
            Ok(Ok(deliveries)) => push(ctx, line, deliveries, &acknowledge, Some(seat)),
            Ok(Err(error)) => return End::Failed(error),
            Err(_) => drop(seat),
        }
    }
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Each arm is cancel-safe: `next` promises it, the others only wait.
        tokio::select! {
            () = ctx.gate.closed(queue) => return End::Closed,
            deliveries = consumer.next(prefetch as usize) => match deliveries {
                Ok(deliveries) => push(ctx, line, deliveries, &acknowledge, None),
                Err(error) => return End::Failed(error),
            },
            _ = look.tick() => {
                if ctx.queues.starved(line, ctx.monotonic().saturating_sub(PATIENCE)) {
                    return End::Crowded;
                }
                if prefetch < ctx.queues.slots() && ctx.queues.has_room(line) {
                    return End::Roomy;
                }
            }
        }
    }
}

/// Makes a consumer. After a failure it makes sure first that the queue is there.
async fn start(
    ctx: &Context,
    queue: &QueueName,
    prefetch: u32,
    failures: u32,
) -> Result<Box<dyn Consumer>, TransportError> {
    if failures > 0 {
        in_time(ctx.transport.declare(std::slice::from_ref(queue))).await?;
    }
    in_time(ctx.transport.consume(queue, prefetch)).await
}

fn push(
    ctx: &Context,
    line: usize,
    deliveries: Vec<Delivery>,
    acknowledge: &Arc<dyn Acknowledge>,
    seat: Option<Slot>,
) {
    ctx.queues.push(line, deliveries, acknowledge, ctx.monotonic(), seat);
}

/// Gives back everything that waits in a line.
async fn give_back(ctx: &Context, line: usize) {
    let waiting = ctx.queues.drain(line);
    receipt::give_back(waiting.into_iter().map(|waiting| waiting.receipt).collect()).await;
}
