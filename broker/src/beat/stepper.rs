//! A beat that does one thing at a time, when it is told to: for tests and simulations.
//!
//! It plans and promotes with the very code that a running beat uses. Only what drives it is another: no loop of its own, no
//! time that passes by itself. It judges nobody, and removes nothing.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::context::Context;
use super::health::Fault;
use super::leases::Held;
use super::plan::Planner;
use super::promote::Promotion;
use super::{Beat, BeatError};

/// See [`Beat::stepper`].
pub struct BeatStepper {
    planner: Planner,
    promotion: Promotion,
    /// All shards: it is the only beat of its world.
    _held: watch::Sender<Held>,
}

/// What a step left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatStep {
    /// When the next occurrence is to be planned or the next entry promoted, in the store's time; `None` if neither will ever
    /// be.
    pub next: Option<Timestamp>,
}

impl Beat {
    /// Plans and promotes from now on when it is told to, and then only. It must be the only beat of its namespace.
    pub fn stepper(self) -> BeatStepper {
        let ctx: Arc<Context> = Arc::new(self.ctx);
        let (held, shards) = watch::channel(Held::all(ctx.options.shards));
        BeatStepper {
            planner: Planner::new(ctx.clone(), shards),
            promotion: Promotion::new(ctx),
            _held: held,
        }
    }
}

impl BeatStepper {
    /// Plans what is due by now, and promotes it.
    pub async fn step(&mut self) -> Result<BeatStep, BeatError> {
        let planned = self.planner.plan_due().await?;
        let promoted = self.promotion.promote_due().await?;
        let next = planned.into_iter().chain(promoted).min();
        Ok(BeatStep { next })
    }
}

impl From<Fault> for BeatError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Ledger(error) => Self::Ledger(error),
            Fault::Broker(error) => Self::Transport(error),
        }
    }
}

impl fmt::Debug for BeatStepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeatStepper").finish_non_exhaustive()
    }
}
