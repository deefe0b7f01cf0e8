//! Names of the metrics, in one place, so that every role counts the same thing under the same name.
//!
//! Labels are of bounded cardinality: queue, task name, outcome; never an id.

/// Tasks published. Labels: `queue`, `outcome` (`confirmed`, `unroutable`, `refused`).
pub const PUBLISHED: &str = "upbeat_published_total";
/// Claims. Label: `answer`.
pub const CLAIMS: &str = "upbeat_claims_total";
/// Runs ended. Labels: `name`, `outcome`.
pub const RUNS: &str = "upbeat_runs_total";
/// Seconds that runs took. Label: `name`.
pub const RUN_SECONDS: &str = "upbeat_run_seconds";
/// Seconds from due to start. Label: `queue`.
pub const QUEUE_WAIT_SECONDS: &str = "upbeat_queue_wait_seconds";
/// Tasks running now.
pub const IN_FLIGHT: &str = "upbeat_in_flight";
/// Seconds between an occurrence's instant and its publish.
pub const LATENESS_SECONDS: &str = "upbeat_occurrence_lateness_seconds";
/// Occurrences. Labels: `outcome` (`fired`, `skipped`).
pub const OCCURRENCES: &str = "upbeat_occurrences_total";
/// Entries promoted to the broker.
pub const PROMOTED: &str = "upbeat_promoted_total";
/// Entries on the agenda. Label: `queue`.
pub const AGENDA_SIZE: &str = "upbeat_agenda_entries";
/// Seconds that the longest due entry waits. Label: `queue`.
pub const AGENDA_OLDEST_SECONDS: &str = "upbeat_agenda_oldest_due_seconds";
/// Members declared lost.
pub const LOST: &str = "upbeat_members_lost_total";
/// Ledger round trips. Labels: `call`, `outcome`.
pub const LEDGER_CALLS: &str = "upbeat_ledger_calls_total";
/// Connections to the broker that were made again after one was lost. Label: `connection` (`publish`, `consume`).
pub const BROKER_RECONNECTS: &str = "upbeat_broker_reconnects_total";
