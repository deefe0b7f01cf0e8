//! How fast queues fill and drain. Pure: is given two readings and the time between them, and takes none itself.

use std::collections::BTreeMap;
use std::time::Duration;

use upbeat_shared::ledger::QueueRecord;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::Depth;

/// Who told a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Teller {
    /// The broker, over its own last interval.
    Broker,
    /// The ledger's counters, read twice.
    Ledger,
}

impl Teller {
    /// As in `--json`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Ledger => "ledger",
        }
    }
}

/// Tasks a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flow {
    pub(crate) into: f64,
    pub(crate) out: f64,
    pub(crate) told_by: Teller,
}

/// What a queue's counters tell at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Tasks that came in so far: rows in any state, and what waits at the broker without one.
    known: u64,
    /// Tasks that have ended.
    ended: u64,
}

/// Every queue's reading, and when it was taken on the monotonic clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings {
    pub(crate) at: Duration,
    pub(crate) queues: BTreeMap<QueueName, Reading>,
}

impl Reading {
    /// Of these counters. `rows_come_with_claims`: the queue's tasks get their rows when a worker takes them, so that more
    /// may wait at the broker than the ledger knows of.
    pub(crate) fn new(record: &QueueRecord, depth: Option<&Depth>, rows_come_with_claims: bool) -> Self {
        let sum = |which: fn(TaskState) -> bool| -> u64 {
            record.counts.iter().filter(|(state, _)| which(*state)).map(|(_, count)| count).sum()
        };
        let queued = sum(|state| state == TaskState::Queued);
        let unrecorded =
            depth.filter(|_| rows_come_with_claims).map_or(0, |depth| depth.ready.saturating_sub(queued));
        Self { known: sum(|_| true) + unrecorded, ended: sum(TaskState::is_terminal) }
    }
}

/// The broker's own word where it has one; else the growth between two readings, if there are two.
pub(crate) fn flow(
    name: &QueueName,
    depth: Option<&Depth>,
    before: Option<&Readings>,
    now: &Readings,
) -> Option<Flow> {
    if let Some(rates) = depth.and_then(|depth| depth.rates) {
        return Some(Flow { into: rates.published, out: rates.acknowledged, told_by: Teller::Broker });
    }
    let before = before?;
    let seconds = now.at.saturating_sub(before.at).as_secs_f64();
    let reading = |readings: &Readings| readings.queues.get(name).copied().unwrap_or_default();
    let (then, now) = (reading(before), reading(now));
    (seconds > 0.0).then(|| Flow {
        into: growth(then.known, now.known) / seconds,
        out: growth(then.ended, now.ended) / seconds,
        told_by: Teller::Ledger,
    })
}

/// Never below nothing: what retention removed meanwhile is no flow.
#[expect(clippy::cast_precision_loss, reason = "a rate for a person to read")]
fn growth(then: u64, now: u64) -> f64 {
    now.saturating_sub(then) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::transport::Rates;

    fn queue() -> QueueName {
        QueueName::default_queue()
    }

    fn record(counts: &[(TaskState, u64)]) -> QueueRecord {
        QueueRecord { name: queue(), paused: false, counts: counts.to_vec() }
    }

    fn at(seconds: u64, reading: Reading) -> Readings {
        Readings { at: Duration::from_secs(seconds), queues: [(queue(), reading)].into() }
    }

    fn measured(then: Reading, now: Reading) -> (f64, f64) {
        let flow = flow(&queue(), None, Some(&at(10, then)), &at(12, now)).unwrap();
        assert_eq!(flow.told_by, Teller::Ledger);
        (flow.into, flow.out)
    }

    #[test]
    fn what_came_in_is_counted_once_and_what_ended_however_it_ended() {
        let then = Reading::new(&record(&[(TaskState::Queued, 4), (TaskState::Succeeded, 10)]), None, false);
        let now = [
            (TaskState::Scheduled, 1),
            (TaskState::Running, 3),
            (TaskState::Succeeded, 14),
            (TaskState::Dead, 1),
            (TaskState::Cancelled, 1),
        ];
        assert_eq!(measured(then, Reading::new(&record(&now), None, false)), (3.0, 3.0));
    }

    #[test]
    fn a_retry_is_neither_a_task_that_came_nor_one_that_ended() {
        let reading = |state| Reading::new(&record(&[(state, 1)]), None, false);
        assert_eq!(measured(reading(TaskState::Running), reading(TaskState::Scheduled)), (0.0, 0.0));
    }

    #[test]
    fn what_retention_removed_does_not_make_a_flow_negative() {
        let reading = |ended| Reading::new(&record(&[(TaskState::Succeeded, ended)]), None, false);
        assert_eq!(measured(reading(100), reading(7)), (0.0, 0.0));
    }

    #[test]
    fn what_waits_at_the_broker_without_a_row_came_in_where_rows_come_with_claims() {
        let depth = |ready| Depth { ready, ..Depth::default() };
        let queued = record(&[(TaskState::Queued, 2)]);
        let reading = |ready, with_claims| Reading::new(&queued, Some(&depth(ready)), with_claims);
        assert_eq!(measured(reading(2, true), reading(12, true)), (5.0, 0.0));
        assert_eq!(measured(reading(2, false), reading(12, false)), (0.0, 0.0));
    }

    #[test]
    fn the_brokers_own_word_wins_and_one_reading_tells_nothing() {
        let rates = Some(Rates { published: 7.0, delivered: 6.0, acknowledged: 5.0 });
        let depth = Depth { rates, ..Depth::default() };
        let now = at(1, Reading::default());
        let told = flow(&queue(), Some(&depth), None, &now).unwrap();
        assert_eq!(told, Flow { into: 7.0, out: 5.0, told_by: Teller::Broker });
        assert_eq!(flow(&queue(), Some(&Depth::default()), None, &now), None);
        assert_eq!(flow(&queue(), None, Some(&now), &now), None, "no time between them");
    }
}
