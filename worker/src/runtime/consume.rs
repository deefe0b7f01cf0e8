//! One consumer for each queue: takes deliveries while the gate is open and slots are to be had, and gives back what it
//! could not use. Never claims.

use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::name::QueueName;
use upbeat_shared::transport::{Acknowledge, Consumer, Delivery, TransportError};

use super::{Context, backoff, in_time, prefetch, receipt};
use crate::queues::Slot;

/// A delivery without a slot for longer than this goes back, so that another worker can have it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long a slot is kept for a consumer that was just made. The queue may be empty.
const SEAT_WAIT: Duration = Duration::from_millis(200);

/// Why a consumer ended.
enum End {
    /// The gate closed.
    Closed,
    /// Its deliveries waited too long for a slot.
    Crowded,
    /// It goes on with another prefetch.
    Resized(u32),
    /// The broker.
    Failed(TransportError),
}

/// Takes from one line's queue until the worker stops.
///
/// Deliveries that get no slot go back after a while. Then the consumer comes back with less, when it is its turn at a
/// slot: a worker that is busy with something else keeps nobody's tasks waiting.
pub(crate) async fn consume_forever(ctx: Arc<Context>, line: usize) {
    let queue = ctx.queues.names()[line].clone();
    let trouble = format!("queue {queue}");
    let slots = ctx.queues.slots();
    let mut prefetch = slots;
    let mut failures = 0;
    let mut seat = None;
    loop {
        if !ctx.gate.is_open(&queue) {
            // Nobody knows for how long: the slot is for others.
            seat = None;
            if !ctx.gate.opened(&queue).await {
                return;
            }
        }
        let end = consume(&ctx, line, prefetch, seat.take(), &mut failures).await;
        if !matches!(end, End::Resized(_)) {
            // Whatever the reason: what has not been claimed is for others.
            give_back(&ctx, line).await;
        }
        match end {
            End::Closed => {}
            End::Resized(size) => {
                tracing::debug!(%queue, prefetch = size, "the consumer goes on with another prefetch");
                prefetch = size;
            }
            End::Crowded => {
                prefetch = prefetch::after_crowding(prefetch, slots);
                tokio::select! {
                    biased;
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
                    biased;
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
    ctx.health.well(&format!("queue {queue}"));
    let acknowledge = consumer.acknowledger();
    if let Some(seat) = seat {
        match tokio::time::timeout(SEAT_WAIT, consumer.next(1)).await {
            Ok(Ok(deliveries)) => push(ctx, line, deliveries, &acknowledge, Some(seat)),
            Ok(Err(error)) => return End::Failed(error),
            Err(_) => drop(seat),
        }
    }
    let mut received = 0;
    let mut look = tokio::time::interval(LOOK);
    look.reset();
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Each arm is cancel-safe: `next` promises it, the others only wait.
        tokio::select! {
            // The look before the deliveries: however many come, it is due twice a second.
            biased;
            () = ctx.gate.closed(queue) => return End::Closed,
            _ = look.tick() => {
                // Made is not enough: a consumer may be made and lost again at once.
                *failures = 0;
                let queues = &ctx.queues;
                if queues.starved(line, ctx.monotonic().saturating_sub(PATIENCE)) {
                    return End::Crowded;
                }
                let room = queues.has_room(line);
                match prefetch::after_look(prefetch, queues.slots(), received, room) {
                    same if same == prefetch => received = 0,
                    other => return End::Resized(other),
                }
            }
            deliveries = consumer.next(prefetch as usize) => match deliveries {
                Ok(deliveries) => {
                    received += u32::try_from(deliveries.len()).expect("a prefetch is a u32");
                    push(ctx, line, deliveries, &acknowledge, None);
                }
                Err(error) => return End::Failed(error),
            },
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
