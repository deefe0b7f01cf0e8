//! The ports to the record of tasks: the dedup store and the truth about their state.
//!
//! Seven small traits, one adapter a folder; every adapter passes the conformance suites of `upbeat-tests`. Batches
//! everywhere: answers come in the order of the questions. Whatever is compared with now is compared with the store's
//! time, inside the store's transaction.

mod agenda;
mod catalog;
mod claim;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod holding;
mod inspect;
mod leases;
#[cfg(any(feature = "embedded", feature = "memory", feature = "postgres", feature = "redis"))]
#[cfg_attr(
    not(any(feature = "embedded", feature = "memory")),
    allow(dead_code, reason = "the others decide most of it in their own language")
)]
mod limit;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod pace;
#[cfg(any(feature = "embedded", feature = "memory"))]
mod past;
#[cfg(feature = "postgres")]
pub mod postgres;
mod records;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "embedded", feature = "memory", feature = "postgres", feature = "redis"))]
#[cfg_attr(
    not(all(feature = "embedded", feature = "postgres", feature = "redis")),
    allow(dead_code, reason = "no ledger needs all of it")
)]
mod restored;
#[cfg(any(feature = "embedded", feature = "memory", feature = "postgres", feature = "redis"))]
#[cfg_attr(
    not(any(feature = "embedded", feature = "memory", feature = "postgres")),
    allow(dead_code, reason = "on Redis, most is decided in scripts")
)]
mod rule;
mod settle;
#[cfg(any(feature = "embedded", feature = "memory", feature = "postgres", feature = "redis"))]
mod stored;
mod transaction;
#[cfg(any(feature = "embedded", feature = "memory", feature = "postgres"))]
mod unique;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::id::{OwnerId, TaskId};
use crate::limit::Turn;
use crate::member::{Heartbeat, HeartbeatAnswer};

pub use agenda::{
    AddAnswer, Agenda, Due, DueBatch, DueEntry, DueReason, Lost, Mark, NewEntry, Park, ParkAnswer, Postpone,
    ReapReport,
};
pub use catalog::{Advance, AdvanceAnswer, Catalog, CatalogSnapshot, Expect, NewSchedule, PutAnswer};
pub use claim::{Claim, ClaimAnswer, ClaimRequest, OwnedClaim};
pub use inspect::{
    ActAnswer, Action, Inspect, LimitRecord, PageCursor, PurgeReport, QueueRecord, Retention, TaskFilter,
    TaskPage,
};
pub use leases::{LeaseRequest, Leases};
pub use records::{AfterEdit, Edit, EditAnswer, KeyWindow, Records, RestoreAnswer, RestoredSchedule};
pub use settle::{SettleAnswer, Settlement};
pub use transaction::{CommitError, TransactionHome};

/// Why a ledger could not do it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It cannot be reached or cannot write now; the same call may succeed later. What was asked may or may not have
    /// happened.
    #[error("the ledger is not available: {0}")]
    Unavailable(String),
    /// It holds what this program cannot read, or refuses what it wrote; a person must act.
    #[error("the ledger refuses: {0}")]
    Invalid(String),
    /// Its schema is newer than this program.
    #[error(
        "the ledger's schema is version {found}, newer than this program knows ({known}); use a newer upbeat"
    )]
    NewerSchema {
        /// What the store has.
        found: u32,
        /// What the program knows.
        known: u32,
    },
}

impl LedgerError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "ledger-unavailable",
            Self::Invalid(_) => "ledger-refuses",
            Self::NewerSchema { .. } => "ledger-newer",
        }
    }
}

/// Claims, settles, and the members' heartbeats: a worker's half of the ledger.
#[async_trait]
pub trait Ledger: Send + Sync + fmt::Debug {
    /// The store's time.
    async fn now(&self) -> Result<Timestamp, LedgerError>;

    /// Claims the right to run each message for `owner`. A batch holds an id once; its twins are Busy, but for those that
    /// follow a stale one: they are judged by themselves. A retired owner gets [`ClaimAnswer::Retired`] for all of them.
    async fn claim(&self, owner: OwnerId, batch: Vec<ClaimRequest>) -> Result<Vec<ClaimAnswer>, LedgerError>;

    /// Writes verdicts, each with its new agenda entries and freed holders in the same transaction.
    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettleAnswer>, LedgerError>;

    /// Says that a member is alive, and learns what it should know.
    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, LedgerError>;

    /// Which of this owner's tasks somebody asked to stop: what a heartbeat tells too, by itself and cheaply.
    async fn cancels(&self, owner: OwnerId) -> Result<Vec<TaskId>, LedgerError>;

    /// Rows running in this owner's name.
    async fn mine(&self, owner: OwnerId) -> Result<Vec<OwnedClaim>, LedgerError>;

    /// Gives back, due again at once and nothing counted, those of these claims that are still this owner's.
    async fn release(&self, owner: OwnerId, claims: Vec<OwnedClaim>) -> Result<u64, LedgerError>;

    /// Asks whether it is these tasks' turn in their fair queues, in this order: `true` for those that may be published. The
    /// others wait in the ledger and become due when their turn comes, or have moved or ended.
    async fn line_up(&self, turns: Vec<Turn>) -> Result<Vec<bool>, LedgerError>;

    /// A member leaves in good order: its heartbeat row goes; rows still in its name are released.
    async fn leave(&self, owner: OwnerId) -> Result<(), LedgerError>;
}

/// The ledger's schema.
#[async_trait]
pub trait Schema: Send + Sync {
    /// The version that the store has (0: none yet) and the one that this program knows.
    async fn status(&self) -> Result<SchemaStatus, LedgerError>;

    /// Brings the store to this program's version; answers the versions applied.
    async fn up(&self) -> Result<Vec<u32>, LedgerError>;

    /// For `doctor` and logs: kind, version and address, without secrets.
    fn describe(&self) -> String;

    /// Where a user's own transaction must be, for the ledger to take part in it.
    fn transactions(&self) -> TransactionHome {
        TransactionHome::Nowhere
    }

    /// For `doctor`: what an operator should change about the store, though it works.
    fn advice(&self) -> Option<String> {
        None
    }

    /// For `doctor`: what each part of the ledger holds. Cheap, and in nobody's way.
    async fn holdings(&self) -> Result<Vec<holding::Holding>, LedgerError>;
}

/// See [`Schema::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaStatus {
    /// What the store has.
    pub found: u32,
    /// What the program knows.
    pub known: u32,
}

/// Every port of one ledger.
#[derive(Clone)]
pub struct Store {
    /// Claims and settles.
    pub ledger: Arc<dyn Ledger>,
    /// What is due.
    pub agenda: Arc<dyn Agenda>,
    /// Schedules and cursors.
    pub catalog: Arc<dyn Catalog>,
    /// Looking, and acting on what one sees.
    pub inspect: Arc<dyn Inspect>,
    /// Named leases.
    pub leases: Arc<dyn Leases>,
    /// Records in a person's hands.
    pub records: Arc<dyn Records>,
    /// The schema.
    pub schema: Arc<dyn Schema>,
}

impl Store {
    /// One adapter behind every port.
    pub fn from_adapter<A>(adapter: Arc<A>) -> Self
    where
        A: Ledger + Agenda + Catalog + Inspect + Leases + Records + Schema + 'static,
    {
        Self {
            ledger: adapter.clone(),
            agenda: adapter.clone(),
            catalog: adapter.clone(),
            inspect: adapter.clone(),
            leases: adapter.clone(),
            records: adapter.clone(),
            schema: adapter,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}
