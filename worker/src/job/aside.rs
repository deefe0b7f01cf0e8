//! Messages that are not claimed: they go on the agenda, or to the queue of what cannot be understood. Then, and only
//! then, they are acknowledged.

use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::clock;
use upbeat_shared::ledger::{Due, NewEntry, Park};
use upbeat_shared::message::{DecodeError, HeaderValue, Message, WireMessage};
use upbeat_shared::name::QueueName;
use upbeat_shared::telemetry::Publishing;
use upbeat_shared::transport::{Outgoing, PublishAnswer, TransportError};
use upbeat_shared::verdict::RunErrorKind;

use super::dead;
use super::read::{Odd, OddKind};
use crate::runtime::receipt::{self, Acks, Receipt};
use crate::runtime::{Context, in_time};

/// The delays of a delivery that was given back too often.
const WORN_DELAY: Duration = Duration::from_secs(10);
const WORN_MAX_DELAY: Duration = Duration::from_mins(5);
/// The delays of a suspect while others run alone, at the longest.
const CROWDED_DELAY: Duration = Duration::from_millis(1500);
const CROWDED_MAX_DELAY: Duration = Duration::from_secs(10);
/// Each is drawn anew, from this part of it on.
const CROWDED_SHORTEST: f64 = 0.2;
/// How long a delivery is kept that could not be put anywhere, so that it does not come back at once.
const FAILED_WAIT: Duration = Duration::from_secs(1);
/// The longest reason that is sent along with a message that cannot be understood.
const MAX_REASON_CHARS: usize = 500;

/// Puts messages where they belong, then acknowledges them; gives back those that could not be put.
pub(crate) async fn put(ctx: Arc<Context>, odd: Vec<Odd>, acks: Acks) {
    let mut parks = Group::default();
    let mut entries = Group::default();
    let mut outgoing = Group::default();
    // Slots are kept until all of them are put.
    let mut slots = Vec::with_capacity(odd.len());
    for Odd { kind, receipt, slot } in odd {
        slots.push(slot);
        match kind {
            OddKind::Undeliverable { queue, message, error } => {
                outgoing.push(undeliverable(&queue, message, &error), receipt);
            }
            OddKind::WithoutId(message) => entries.push(entry(&ctx, message), receipt),
            OddKind::UnknownName(message) => parks.push(unknown(&ctx, message), receipt),
            OddKind::TooNew { message, newest } => parks.push(too_new(&ctx, message, newest), receipt),
            OddKind::Worn(message) => parks.push(worn(message), receipt),
            OddKind::Crowded(message) => parks.push(crowded(&ctx, message), receipt),
        }
    }
    let mut failed = Vec::new();
    for (put, receipts) in [
        (park(&ctx, parks.items).await, parks.receipts),
        (add(&ctx, entries.items).await, entries.receipts),
        (publish(&ctx, outgoing.items).await, outgoing.receipts),
    ] {
        if put {
            // An error means that nobody acknowledges any more: the broker delivers again, and putting again is harmless.
            let _ = acks.send(receipts).await;
        } else {
            failed.extend(receipts);
        }
    }
    if !failed.is_empty() {
        tokio::time::sleep(FAILED_WAIT).await;
        receipt::give_back(failed).await;
    }
    drop(slots);
}

/// What goes the same way, and the deliveries it came with.
struct Group<T> {
    items: Vec<T>,
    receipts: Vec<Receipt>,
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self { items: Vec::new(), receipts: Vec::new() }
    }
}

impl<T> Group<T> {
    fn push(&mut self, item: T, receipt: Receipt) {
        self.items.push(item);
        self.receipts.push(receipt);
    }
}

async fn park(ctx: &Context, parks: Vec<Park>) -> bool {
    if parks.is_empty() {
        return true;
    }
    // A failure was told of where the ledger was asked.
    let Ok(answers) = ctx.ledger("park", ctx.store.agenda.park(parks.clone())).await else { return false };
    dead::parked(ctx, parks, answers).await;
    true
}

async fn add(ctx: &Context, entries: Vec<NewEntry>) -> bool {
    entries.is_empty() || ctx.ledger("add", ctx.store.agenda.add(entries)).await.is_ok()
}

async fn publish(ctx: &Context, outgoing: Vec<Outgoing>) -> bool {
    if outgoing.is_empty() {
        return true;
    }
    match try_publish(ctx, outgoing).await {
        Ok(None) => true,
        Ok(Some(answer)) => {
            tracing::warn!(
                ?answer,
                "a message that cannot be understood could not be set aside; it stays where it is"
            );
            false
        }
        Err(error) => {
            tracing::warn!(%error, "messages that cannot be understood could not be set aside; they stay where they are");
            false
        }
    }
}

/// Publishes all of them; answers the first that was refused. Those confirmed beside it come again as duplicates, which
/// does no harm there.
async fn hand_to_broker(ctx: &Context, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError> {
    let counted = Publishing::of(&batch);
    let answers = in_time(ctx.transport.publish(batch)).await?;
    counted.answered(&answers);
    Ok(answers)
}

async fn try_publish(
    ctx: &Context,
    outgoing: Vec<Outgoing>,
) -> Result<Option<PublishAnswer>, TransportError> {
    let refused =
        |answers: Vec<PublishAnswer>| answers.into_iter().find(|answer| *answer != PublishAnswer::Confirmed);
    let first = refused(hand_to_broker(ctx, outgoing.clone()).await?);
    if first != Some(PublishAnswer::Unroutable) {
        return Ok(first);
    }
    in_time(ctx.transport.declare(&[QueueName::undeliverable()])).await?;
    Ok(refused(hand_to_broker(ctx, outgoing).await?))
}

/// The message as it came, with where it came from and what is wrong with it.
fn undeliverable(queue: &QueueName, mut message: WireMessage, error: &DecodeError) -> Outgoing {
    let reason: String = error.to_string().chars().take(MAX_REASON_CHARS).collect();
    tracing::warn!(%queue, reason, "a message cannot be understood and is set aside");
    let mut text = |name: &str, value: String| message.headers.push((name.into(), HeaderValue::Text(value)));
    text("upbeat-undeliverable-queue", queue.to_string());
    text("upbeat-undeliverable-reason", reason);
    Outgoing { queue: QueueName::undeliverable(), message }
}

/// It runs from the agenda, under its new id. If its acknowledgement is lost it comes again and gets another.
fn entry(ctx: &Context, mut message: Message) -> NewEntry {
    message.first_published = ctx.clock.now();
    NewEntry { message, due: Due::In(Duration::ZERO), cover: Duration::ZERO }
}

fn unknown(ctx: &Context, message: Message) -> Park {
    let policy = ctx.options.unknown_name;
    if ctx.told.worth_telling(&message.name, ctx.monotonic()) {
        tracing::warn!(
            name = %message.name,
            queue = %message.queue,
            dead_after = ?policy.dead_after,
            "no handler here has this name; its tasks wait for a worker that has one, and are dead after a while: \
             register the task, start a worker that knows it, or cancel its tasks"
        );
    }
    Park {
        message,
        note: "no worker knows its name".into(),
        delay: policy.delay,
        max_delay: policy.max_delay,
        dead_after: Some((policy.dead_after, RunErrorKind::UnknownName)),
    }
}

/// A newer worker is on its way, or is here already: in a deployment that rolls, both take from the same queue. It waits as
/// long as that takes, for the task itself is all right.
fn too_new(ctx: &Context, message: Message, newest: u32) -> Park {
    let policy = ctx.options.unknown_name;
    let version = message.args_version;
    if ctx.told.worth_telling(&message.name, ctx.monotonic()) {
        tracing::warn!(
            name = %message.name,
            queue = %message.queue,
            version,
            newest,
            "tasks of this name have arguments of a version that is newer than the handler here reads; they wait for a \
             newer worker: finish the deployment, or cancel them"
        );
    }
    Park {
        message,
        note: format!(
            "needs a worker that reads version {version} of its arguments; this one reads up to {newest}"
        ),
        delay: policy.delay,
        max_delay: policy.max_delay,
        dead_after: None,
    }
}

/// It neither ran nor failed: nothing is counted. Those of a lost worker are parked together, and must not come back together:
/// a few would take the turns, which were then free until all come back. So each gets delays of its own.
fn crowded(ctx: &Context, message: Message) -> Park {
    let drawn = |longest: Duration| {
        let part = clock::fraction(ctx.clock.clock().random());
        longest.mul_f64(CROWDED_SHORTEST + (1.0 - CROWDED_SHORTEST) * part)
    };
    Park {
        note: format!("waits for its turn to run alone: {} workers were lost while it ran", message.crashes),
        message,
        delay: drawn(CROWDED_DELAY),
        max_delay: drawn(CROWDED_MAX_DELAY),
        dead_after: None,
    }
}

fn worn(message: Message) -> Park {
    Park {
        message,
        note: "given back to the broker too often".into(),
        delay: WORN_DELAY,
        max_delay: WORN_MAX_DELAY,
        dead_after: None,
    }
}
