//! The metrics of every role: their names in one place, so that every role counts the same thing under the same name.
//!
//! Labels are of bounded cardinality: task names and queues that a process was configured with ([`know_queues`]), and
//! words of our own; never an id. Whatever else comes from outside counts as [`OTHER`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crate::name::QueueName;
use crate::transport::{Outgoing, PublishAnswer};

/// Messages handed to the broker, by what became of each.
pub const PUBLISHED: &str = "upbeat_published_total";
/// Entries of the agenda published and confirmed.
pub const PROMOTED: &str = "upbeat_promoted_total";
/// Claims, by what the ledger answered.
pub const CLAIMS: &str = "upbeat_claims_total";
/// Claims that had to wait for a limit.
pub const LIMITED: &str = "upbeat_limited_total";
/// Runs that ended.
pub const RUNS: &str = "upbeat_runs_total";
/// Runs that failed, by the kind of failure.
pub const RUN_FAILURES: &str = "upbeat_run_failures_total";
/// How long runs took.
pub const RUN_SECONDS: &str = "upbeat_run_seconds";
/// From due to claimed.
pub const QUEUE_WAIT_SECONDS: &str = "upbeat_queue_wait_seconds";
/// Tasks running now.
pub const IN_FLIGHT: &str = "upbeat_in_flight";
/// Tasks that may run at once.
pub const SLOTS: &str = "upbeat_slots";
/// How late occurrences were published.
pub const LATENESS_SECONDS: &str = "upbeat_occurrence_lateness_seconds";
/// Occurrences planned.
pub const OCCURRENCES: &str = "upbeat_occurrences_total";
/// Occurrences whose tasks have not started long after their time.
pub const OVERDUE: &str = "upbeat_occurrences_overdue_total";
/// Entries on the agenda.
pub const AGENDA_SIZE: &str = "upbeat_agenda_entries";
/// How long the longest due entry waits.
pub const AGENDA_OLDEST_SECONDS: &str = "upbeat_agenda_oldest_due_seconds";
/// Tasks on record.
pub const TASKS: &str = "upbeat_tasks";
/// Members on record.
pub const MEMBERS: &str = "upbeat_members";
/// Members declared lost.
pub const LOST: &str = "upbeat_members_lost_total";
/// Calls of the ledger.
pub const LEDGER_CALLS: &str = "upbeat_ledger_calls_total";
/// How long calls of the ledger took.
pub const LEDGER_CALL_SECONDS: &str = "upbeat_ledger_call_seconds";
/// Round trips to the ledger's server.
pub const LEDGER_ROUND_TRIPS: &str = "upbeat_ledger_round_trips_total";
/// Batches that collided with another and were asked again.
pub const LEDGER_COLLISIONS: &str = "upbeat_ledger_collisions_total";
/// Calls of the program's hooks.
pub const HOOK_CALLS: &str = "upbeat_hook_calls_total";
/// Connections to the broker made again.
pub const RECONNECTS: &str = "upbeat_broker_reconnects_total";
/// The program's version.
pub const BUILD_INFO: &str = "upbeat_build_info";

/// The label of a queue that this process was not configured with.
pub const OTHER: &str = "other";

/// Queues with a label of their own, at most.
const MAX_QUEUES: usize = 1000;

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows from the process's start.
    Counter,
    /// As it is now.
    Gauge,
    /// Counted in buckets.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Who shows a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// Beats and workers.
    Every,
    /// Beats.
    Beat,
    /// Workers.
    Worker,
    /// Those that are connected to such a server.
    With(&'static str),
}

impl ShownBy {
    /// As in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Every => "every",
            Self::Beat => "beat",
            Self::Worker => "worker",
            Self::With(server) => server,
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// Who shows it.
    pub shown_by: ShownBy,
    /// What it says, for a person.
    pub about: &'static str,
}

/// Every metric, in the order of the documentation (`docs/metrics.md`).
pub const ALL: &[Metric] = &[
    counter(
        PUBLISHED,
        &["queue", "outcome"],
        ShownBy::Every,
        "Messages handed to the broker: `confirmed`, `returned` (no such queue), `refused` (full), `failed` (no answer). A message that is tried again counts again",
    ),
    counter(
        CLAIMS,
        &["answer"],
        ShownBy::Worker,
        "Claims by the ledger's answer: `acquired`, `done`, `busy`, `stale`, `ended`, `limited`, `retired`. All but the first run nothing",
    ),
    counter(
        LIMITED,
        &["limit", "waits_for"],
        ShownBy::Worker,
        "Claims that had to wait for a limit by `key`, `task` or `queue`: for a free `slot`, or for their `instant` of a rate",
    ),
    counter(
        RUNS,
        &["name", "outcome"],
        ShownBy::Worker,
        "Runs that ended, by task: `succeeded`, `retry`, `snoozed`, `dead`, `cancelled`, `released` (given back)",
    ),
    counter(
        RUN_FAILURES,
        &["name", "kind"],
        ShownBy::Worker,
        "Runs that ended as `retry` or `dead`, by what went wrong: `failed`, `panicked`, `timed_out`, `bad_arguments`, `deadline`",
    ),
    histogram(RUN_SECONDS, &["name"], ShownBy::Worker, "How long runs took, whatever their outcome"),
    histogram(
        QUEUE_WAIT_SECONDS,
        &["queue"],
        ShownBy::Worker,
        "From when a task was due until a worker claimed it",
    ),
    gauge(IN_FLIGHT, &[], ShownBy::Worker, "Tasks that run now"),
    gauge(SLOTS, &[], ShownBy::Worker, "Tasks that may run at once"),
    counter(
        OCCURRENCES,
        &["outcome"],
        ShownBy::Beat,
        "Occurrences planned: `fired`, `merged` into the task that has their unique key, or `skipped` with a reason on record",
    ),
    histogram(
        LATENESS_SECONDS,
        &[],
        ShownBy::Beat,
        "From an occurrence's instant (its jitter included) until the broker confirmed it",
    ),
    counter(
        OVERDUE,
        &[],
        ShownBy::Beat,
        "Occurrences that had not started `overdue_after` after their instant; of each schedule, one at a time is looked at",
    ),
    counter(PROMOTED, &[], ShownBy::Beat, "Entries of the agenda that were published and confirmed"),
    gauge(AGENDA_SIZE, &["queue"], ShownBy::Beat, "Tasks scheduled or queued, by the ledger"),
    gauge(
        AGENDA_OLDEST_SECONDS,
        &["queue"],
        ShownBy::Beat,
        "How long the longest due entry waits to be published; 0 if none is due",
    ),
    gauge(
        TASKS,
        &["queue", "state"],
        ShownBy::Beat,
        "Tasks on record by state, as long as retention keeps them; `dead` ones until they are dropped",
    ),
    gauge(
        MEMBERS,
        &["role", "state"],
        ShownBy::Beat,
        "Beats and workers on record: `healthy`, `draining`, `late`, `lost`",
    ),
    counter(LOST, &[], ShownBy::Beat, "Members that this beat declared lost"),
    counter(
        LEDGER_CALLS,
        &["call", "outcome"],
        ShownBy::Every,
        "Calls of the ledger by a role: `ok` or `error`; one that was not answered in time is an `error`",
    ),
    histogram(LEDGER_CALL_SECONDS, &["call"], ShownBy::Every, "How long those calls took"),
    counter(
        LEDGER_ROUND_TRIPS,
        &["call"],
        ShownBy::With("Postgres or Redis"),
        "Round trips to the ledger's server",
    ),
    counter(
        LEDGER_COLLISIONS,
        &["call"],
        ShownBy::With("Postgres"),
        "Batches that collided with another, and were asked again",
    ),
    counter(
        HOOK_CALLS,
        &["event", "outcome"],
        ShownBy::Every,
        "Calls of the program's own hooks, by event (`retry`, `dead`, `overdue`): `done`, `panicked`, `timed_out`; `dropped` are events that came faster than hooks could take them",
    ),
    counter(
        RECONNECTS,
        &["connection"],
        ShownBy::With("RabbitMQ"),
        "Connections to the broker that were lost and made again",
    ),
    gauge(BUILD_INFO, &["version"], ShownBy::Every, "Always 1"),
    gauge(
        "process_start_time_seconds",
        &[],
        ShownBy::Every,
        "When the process started, in seconds since 1970",
    ),
    counter("process_cpu_seconds_total", &[], ShownBy::Every, "Processor time used, in whole seconds"),
    gauge("process_resident_memory_bytes", &[], ShownBy::Every, "Memory in use"),
    gauge("process_virtual_memory_bytes", &[], ShownBy::Every, "Address space in use"),
    gauge("process_open_fds", &[], ShownBy::Every, "Open files and sockets"),
    gauge("process_max_fds", &[], ShownBy::Every, "How many it may open"),
    gauge("process_threads", &[], ShownBy::Every, "Threads"),
];

type Labels = &'static [&'static str];

const fn counter(name: &'static str, labels: Labels, shown_by: ShownBy, about: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, shown_by, about }
}

const fn gauge(name: &'static str, labels: Labels, shown_by: ShownBy, about: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, shown_by, about }
}

const fn histogram(name: &'static str, labels: Labels, shown_by: ShownBy, about: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, shown_by, about }
}

/// Tells the recorder of this process what every metric says. Call it once, when the recorder is in place.
pub fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.about),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.about),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.about),
        }
    }
}

/// The queues with a label of their own. One set a process, as there is one recorder.
static QUEUES: RwLock<BTreeSet<QueueName>> = RwLock::new(BTreeSet::new());

/// Gives these queues a label of their own, and shows them as not published to yet. Those of a configuration: names that
/// come with messages must not be given to it.
pub fn know_queues<'a>(queues: impl IntoIterator<Item = &'a QueueName>) {
    let mut known = QUEUES.write().unwrap_or_else(PoisonError::into_inner);
    for queue in queues {
        if known.len() < MAX_QUEUES && known.insert(queue.clone()) {
            for outcome in OUTCOMES {
                metrics::counter!(PUBLISHED, "queue" => queue.to_string(), "outcome" => outcome).increment(0);
            }
        }
    }
}

/// The label of a queue: its name if it is known, else [`OTHER`].
pub fn queue_label(queue: &QueueName) -> String {
    let known = QUEUES.read().unwrap_or_else(PoisonError::into_inner);
    if known.contains(queue) { queue.to_string() } else { OTHER.to_owned() }
}

/// Counts one call of the ledger.
pub fn ledger_called(call: &'static str, answered: bool, took: Duration) {
    let outcome = if answered { "ok" } else { "error" };
    metrics::counter!(LEDGER_CALLS, "call" => call, "outcome" => outcome).increment(1);
    metrics::histogram!(LEDGER_CALL_SECONDS, "call" => call).record(took.as_secs_f64());
}

const CONFIRMED: &str = "confirmed";
const RETURNED: &str = "returned";
const REFUSED: &str = "refused";
const FAILED: &str = "failed";
const OUTCOMES: [&str; 4] = [CONFIRMED, RETURNED, REFUSED, FAILED];

/// Counts what becomes of a batch that is handed to the broker. Dropped without an answer, be it for an error or because
/// nobody waits any more, every message of it has failed.
#[derive(Debug)]
pub struct Publishing(Vec<QueueName>);

impl Publishing {
    /// Before the batch is handed over.
    pub fn of(batch: &[Outgoing]) -> Self {
        Self(batch.iter().map(|outgoing| outgoing.queue.clone()).collect())
    }

    /// The broker answered for each, in the order of the batch.
    pub fn answered(mut self, answers: &[PublishAnswer]) {
        let outcome = |answer: &PublishAnswer| match answer {
            PublishAnswer::Confirmed => CONFIRMED,
            PublishAnswer::Unroutable => RETURNED,
            PublishAnswer::Refused(_) => REFUSED,
        };
        let queues = std::mem::take(&mut self.0);
        count(queues.iter().zip(answers.iter().map(outcome)));
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        count(self.0.iter().map(|queue| (queue, FAILED)));
    }
}

fn count<'a>(outcomes: impl Iterator<Item = (&'a QueueName, &'static str)>) {
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for of in outcomes {
        *counts.entry(of).or_default() += 1;
    }
    for ((queue, outcome), count) in counts {
        metrics::counter!(PUBLISHED, "queue" => queue_label(queue), "outcome" => outcome).increment(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of the documentation's table.
    fn row(metric: &Metric) -> String {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "—".to_owned() } else { labels.join(", ") };
        let (kind, shown_by) = (metric.kind.as_str(), metric.shown_by.as_str());
        format!("| `{}` | {kind} | {labels} | {shown_by} | {} |", metric.name, metric.about)
    }

    #[test]
    fn the_documentation_lists_exactly_these_metrics() {
        let page = include_str!("../../docs/metrics.md");
        let listed: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `upbeat_") || line.starts_with("| `process_"))
            .collect();
        let rows: Vec<String> = ALL.iter().map(row).collect();
        assert_eq!(listed, rows, "\ndocs/metrics.md should have:\n{}\n", rows.join("\n"));
    }

    #[test]
    fn names_follow_the_customs_of_prometheus() {
        for metric in ALL {
            let name = metric.name;
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert!(metric.kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(!metric.labels.iter().any(|label| label.contains("id")), "{name}");
        }
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len(), "each name once");
    }

    #[test]
    fn a_strangers_queue_has_no_label_of_its_own() {
        let ours = QueueName::new("telemetry.ours").unwrap();
        let strange = QueueName::new("telemetry.strange").unwrap();
        know_queues([&ours]);
        assert_eq!((queue_label(&ours), queue_label(&strange)), ("telemetry.ours".into(), OTHER.into()));
    }
}
