//! Keeps the beat's idea of the store's time fresh, and shows the agenda's size. Changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::name::QueueName;
use upbeat_shared::telemetry;

use super::context::Context;
use super::health::{Fault, Part};

/// How often the store is asked for its time. A short round trip of its own is a better sample than a heartbeat's.
const SAMPLE: Duration = Duration::from_secs(5);

/// How many samples for one look at the agenda's size.
const SAMPLES_A_LOOK: u32 = 3;

/// Measures until the beat is stopped.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut failures = 0;
    let mut shown = BTreeSet::new();
    for round in 0_u32.. {
        let outcome = measure(&ctx, round % SAMPLES_A_LOOK == 0, &mut shown).await;
        ctx.conclude(Part::Measure, outcome, &mut failures).await;
        if !ctx.pause(SAMPLE).await {
            return;
        }
    }
}

async fn measure(ctx: &Context, look: bool, shown: &mut BTreeSet<QueueName>) -> Result<(), Fault> {
    ctx.sample().await?;
    if !look {
        return Ok(());
    }
    let backlog = ctx.ledger("backlog", ctx.store.agenda.backlog()).await?;
    let mut gone = std::mem::take(shown);
    for (queue, entries, oldest) in backlog {
        show(&queue, entries, oldest);
        gone.remove(&queue);
        shown.insert(queue);
    }
    // A queue that was worked off would keep its last figure for ever.
    for queue in gone {
        show(&queue, 0, Duration::ZERO);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a gauge holds a float; no agenda has 2^53 entries")]
fn show(queue: &QueueName, entries: u64, oldest: Duration) {
    let queue = queue.to_string();
    metrics::gauge!(telemetry::AGENDA_SIZE, "queue" => queue.clone()).set(entries as f64);
    metrics::gauge!(telemetry::AGENDA_OLDEST_SECONDS, "queue" => queue).set(oldest.as_secs_f64());
}
