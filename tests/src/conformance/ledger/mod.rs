//! The suite of the ledger's ports.

use std::time::Duration;

use async_trait::async_trait;
use upbeat_shared::ledger::Store;

pub mod agenda;
pub mod cancel;
pub mod catalog;
pub mod claim;
pub mod counters;
pub mod deadline;
pub mod edit;
pub mod edit_waiting;
pub mod fair;
pub mod inspect;
pub mod leases;
pub mod limits;
pub mod lines;
pub mod mark;
pub mod members;
pub mod merging;
pub mod moved_windows;
pub mod overtaken;
pub mod park;
pub mod planning;
mod probe;
pub mod rates;
pub mod reap;
pub mod replacement;
pub mod restore;
pub mod retention;
pub mod runs;
pub mod settle;
pub mod storm;
pub mod unique;
pub mod verdicts;
pub mod waiting;
pub mod window;

pub use probe::{Probe, Running};

/// One empty ledger, whose clock a test can move.
#[async_trait]
pub trait LedgerWorld: Send + Sync + Sized {
    /// Of the current schema; messages are stale after what the default retention says.
    async fn create() -> Self;

    /// The ports of its first process.
    fn store(&self) -> Store;

    /// Ports of their own, as another process over the same ledger has them.
    async fn connect(&self) -> Store;

    /// The store's clock goes on.
    fn forward(&self, by: Duration);

    /// Every process ends, the store's clock is set back, and the first process starts again.
    async fn set_back(&self, by: Duration);
}

/// Makes a test of every case of the ledger's suite, for the world whose full path is given.
#[macro_export]
macro_rules! ledger_conformance {
    ($world:ty) => {
        mod agenda {
            $crate::agenda_conformance!($world);
        }
        mod cancel {
            $crate::cancel_conformance!($world);
        }
        mod catalog {
            $crate::catalog_conformance!($world);
        }
        mod claim {
            $crate::claim_conformance!($world);
        }
        mod counters {
            $crate::counters_conformance!($world);
        }
        mod deadline {
            $crate::deadline_conformance!($world);
        }
        mod edit {
            $crate::edit_conformance!($world);
        }
        mod fair {
            $crate::fair_conformance!($world);
        }
        mod inspect {
            $crate::inspect_conformance!($world);
        }
        mod leases {
            $crate::leases_conformance!($world);
        }
        mod lines {
            $crate::lines_conformance!($world);
        }
        mod edit_waiting {
            $crate::edit_waiting_conformance!($world);
        }
        mod moved_windows {
            $crate::moved_windows_conformance!($world);
        }
        mod limits {
            $crate::limits_conformance!($world);
        }
        mod mark {
            $crate::mark_conformance!($world);
        }
        mod members {
            $crate::members_conformance!($world);
        }
        mod merging {
            $crate::merging_conformance!($world);
        }
        mod overtaken {
            $crate::overtaken_conformance!($world);
        }
        mod park {
            $crate::park_conformance!($world);
        }
        mod planning {
            $crate::planning_conformance!($world);
        }
        mod rates {
            $crate::rates_conformance!($world);
        }
        mod reap {
            $crate::reap_conformance!($world);
        }
        mod replacement {
            $crate::replacement_conformance!($world);
        }
        mod restore {
            $crate::restore_conformance!($world);
        }
        mod retention {
            $crate::retention_conformance!($world);
        }
        mod runs {
            $crate::runs_conformance!($world);
        }
        mod settle {
            $crate::settle_conformance!($world);
        }
        mod unique {
            $crate::unique_conformance!($world);
        }
        mod storm {
            $crate::storm_conformance!($world);
        }
        mod verdicts {
            $crate::verdicts_conformance!($world);
        }
        mod waiting {
            $crate::waiting_conformance!($world);
        }
        mod window {
            $crate::window_conformance!($world);
        }
    };
}
