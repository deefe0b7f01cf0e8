//! Keeps the beat's idea of the store's time fresh, and shows what the ledger holds: agenda, tasks, members. Changes
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::ledger::QueueRecord;
use upbeat_shared::member::{MemberRecord, MemberState, Role};
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;
use upbeat_shared::telemetry;

use super::context::Context;
use super::health::{Fault, Part};

/// How often the store is asked for its time. A short round trip of its own is a better sample than a heartbeat's.
const SAMPLE: Duration = Duration::from_secs(5);

/// How many samples for one look at what the ledger holds.
const SAMPLES_A_LOOK: u32 = 3;

/// Shows what this beat counts before there is something to count: a rate needs a first value.
pub(super) fn register() {
    for outcome in ["fired", "skipped"] {
        metrics::counter!(telemetry::OCCURRENCES, "outcome" => outcome).increment(0);
    }
    metrics::counter!(telemetry::PROMOTED).increment(0);
    metrics::counter!(telemetry::LOST).increment(0);
    metrics::counter!(telemetry::OVERDUE).increment(0);
    // Making it shows it.
    drop(metrics::histogram!(telemetry::LATENESS_SECONDS));
}

/// Measures until the beat is stopped.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut failures = 0;
    let mut shown = Shown::default();
    for round in 0_u32.. {
        let outcome = measure(&ctx, round % SAMPLES_A_LOOK == 0, &mut shown).await;
        ctx.conclude(Part::Measure, outcome, &mut failures).await;
        if !ctx.pause(SAMPLE).await {
            return;
        }
    }
}

async fn measure(ctx: &Context, look: bool, shown: &mut Shown) -> Result<(), Fault> {
    let now = ctx.sample().await?;
    if !look {
        return Ok(());
    }
    let backlog = ctx.ledger("backlog", ctx.store.agenda.backlog()).await?;
    shown.agenda(&backlog);
    let queues = ctx.ledger("queues", ctx.store.inspect.queues()).await?;
    shown.tasks(&queues);
    let members = ctx.ledger("members", ctx.store.inspect.members()).await?;
    show_members(&members, now);
    Ok(())
}

/// By label, what is shown of each queue. One that was worked off is shown as empty: it would keep its last figure for
/// ever.
#[derive(Debug, Default)]
struct Shown {
    agenda: BTreeMap<String, (u64, Duration)>,
    tasks: BTreeMap<(String, TaskState), u64>,
}

impl Shown {
    fn agenda(&mut self, backlog: &[(QueueName, u64, Duration)]) {
        self.agenda.values_mut().for_each(|shown| *shown = (0, Duration::ZERO));
        for (queue, entries, oldest) in backlog {
            let shown = self.agenda.entry(telemetry::queue_label(queue)).or_default();
            *shown = (shown.0 + entries, shown.1.max(*oldest));
        }
        for (queue, (entries, oldest)) in &self.agenda {
            metrics::gauge!(telemetry::AGENDA_SIZE, "queue" => queue.clone()).set(float(*entries));
            metrics::gauge!(telemetry::AGENDA_OLDEST_SECONDS, "queue" => queue.clone())
                .set(oldest.as_secs_f64());
        }
    }

    fn tasks(&mut self, queues: &[QueueRecord]) {
        self.tasks.values_mut().for_each(|shown| *shown = 0);
        for queue in queues {
            let label = telemetry::queue_label(&queue.name);
            for state in TaskState::ALL {
                self.tasks.entry((label.clone(), state)).or_default();
            }
            for (state, count) in &queue.counts {
                *self.tasks.entry((label.clone(), *state)).or_default() += count;
            }
        }
        for ((queue, state), count) in &self.tasks {
            metrics::gauge!(telemetry::TASKS, "queue" => queue.clone(), "state" => state.as_str())
                .set(float(*count));
        }
    }
}

fn show_members(members: &[MemberRecord], now: Timestamp) {
    for role in [Role::Beat, Role::Worker] {
        for state in MemberState::ALL {
            let count =
                members.iter().filter(|member| member.role == role && member.state(now) == state).count();
            metrics::gauge!(telemetry::MEMBERS, "role" => role.as_str(), "state" => state.as_str())
                .set(float(count as u64));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge holds a float; nothing here counts to 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    #[test]
    fn queues_that_nobody_configured_share_a_label() {
        let mut shown = Shown::default();
        let seconds = Duration::from_secs;
        shown.agenda(&[(queue("measure.a"), 2, seconds(7)), (queue("measure.b"), 3, seconds(5))]);
        assert_eq!(shown.agenda, [(telemetry::OTHER.to_owned(), (5, seconds(7)))].into());
    }

    #[test]
    fn a_queue_that_was_worked_off_is_shown_as_empty() {
        let mut shown = Shown::default();
        let record = |counts| QueueRecord { name: queue("measure.c"), paused: false, counts };
        shown.agenda(&[(queue("measure.c"), 2, Duration::from_secs(7))]);
        shown.tasks(&[record(vec![(TaskState::Queued, 2)])]);
        shown.agenda(&[]);
        shown.tasks(&[record(Vec::new())]);
        assert_eq!(shown.agenda[telemetry::OTHER], (0, Duration::ZERO));
        assert!(shown.tasks.values().all(|count| *count == 0), "{:?}", shown.tasks);
        assert_eq!(shown.tasks.len(), TaskState::ALL.len());
    }
}
