//! A beat that does one thing at a time, when it is told to: for tests and simulations.
//!
//! It plans and promotes with the very code that a running beat uses. Only what drives it is another: no loop of its own, no
//! time that passes by itself. It judges nobody, and removes nothing.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use upbeat_shared::hook::HookCalls;

use super::context::Context;
use super::health::Fault;
use super::leases::Held;
use super::plan::Planner;
use super::promote::Promotion;
use super::{Beat, BeatError, overdue};

/// See [`Beat::stepper`].
pub struct BeatStepper {
    ctx: Arc<Context>,
    planner: Planner,
    promotion: Promotion,
    hooks: HookCalls,
    /// All shards: it is the only beat of its world.
    _held: watch::Sender<Held>,
}

/// What a step left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatStep {
    /// When the next occurrence is to be planned, the next entry promoted or the next occurrence found overdue, in the store's
    /// time; `None` if nothing of it will ever be.
    pub next: Option<Timestamp>,
}

impl Beat {
    /// Plans and promotes from now on when it is told to, and then only. It must be the only beat of its namespace.
    pub fn stepper(self) -> BeatStepper {
        let (hooks, calls) = self.hooks.by_hand(self.ctx.clock.clock().clone());
        let ctx = Arc::new(Context { hooks, ..self.ctx });
        let (held, shards) = watch::channel(Held::all(ctx.options.shards));
        BeatStepper {
            planner: Planner::new(ctx.clone(), shards),
            promotion: Promotion::new(ctx.clone()),
            hooks: calls,
            ctx,
            _held: held,
        }
    }
}

impl BeatStepper {
    /// Plans what is due by now, promotes it, tells of what is overdue, and calls the program's hooks.
    pub async fn step(&mut self) -> Result<BeatStep, BeatError> {
        let planned = self.planner.plan_due().await?;
        let promoted = self.promotion.promote_due().await?;
        let watched = overdue::tell_due(&self.ctx).await?;
        self.hooks.call_waiting().await;
        let next = planned.into_iter().chain(promoted).chain(watched).min();
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
