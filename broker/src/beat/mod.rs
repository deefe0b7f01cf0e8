//! The beat: turns time into messages.
//!
//! A few loops, each owned and stopped by [`Beat::run`], none of which waits for another:
//!
//! - *heartbeat* says that this beat lives and judges who does not; *reap* gives the tasks of the lost to others;
//! - *shards* shares the schedules with the other live beats; *plan* puts their due occurrences onto the agenda;
//! - *promote* publishes what is due; *undeliverable* takes in what no worker could understand;
//! - *overdue* tells of occurrences that have not started long after their time;
//! - *purge* removes what is no longer kept; *measure* keeps the clock fresh and shows the agenda's size.
//!
//! Everything goes by the store's time. The beat itself keeps nothing that it could lose.

mod apply;
mod context;
mod dead;
mod health;
mod judge;
mod leases;
mod measure;
mod options;
mod overdue;
mod plan;
mod promote;
mod purge;
mod reap;
#[cfg(feature = "testing")]
mod stepper;
#[cfg(test)]
mod testing;
mod undeliverable;
mod wake;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upbeat_schedule::TimingError;
use upbeat_shared::clock::StoreClock;
use upbeat_shared::hook::{HookQueue, Hooks};
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::name::ScheduleId;
use upbeat_shared::telemetry;
use upbeat_shared::transport::Transport;

use context::Context;
use health::Board;
use leases::Held;
use overdue::Watches;

pub use apply::{ApplyReport, Overridden, apply};
pub use health::BeatHealth;
pub use options::BeatOptions;
pub use plan::occurrence_message;
#[cfg(feature = "testing")]
pub use stepper::{BeatStep, BeatStepper};

/// How long loops may take to finish what they have begun when the beat is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// How long hooks may take for what they were told last.
const HOOKS_WAIT: Duration = Duration::from_secs(1);

/// How long the beat may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a beat or an [`apply`] could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeatError {
    /// A schedule's rule cannot be understood; nothing was applied.
    #[error("the schedule {id}: {error}")]
    Timing {
        /// Which.
        id: ScheduleId,
        /// What is wrong with it.
        error: TimingError,
    },
    /// Two schedules have the same id; nothing was applied.
    #[error("there are two schedules with the id {0}; give one of them another id")]
    Twice(ScheduleId),
    /// Somebody else keeps changing the same schedule; apply again.
    #[error("the schedule {0} was changed by somebody else at the same time, again and again; try again")]
    Conflict(ScheduleId),
    /// The ledger did not answer or refused; what was applied up to there stays, and applying again does the rest.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The broker did not answer or refused. Only of a beat that is driven step by step; a running one waits it out.
    #[error(transparent)]
    Transport(upbeat_shared::transport::TransportError),
    /// A part of the beat ended by itself, which is a defect of this program; the beat was stopped.
    #[error("the beat's part {0} ended unexpectedly; please report this")]
    Ended(String),
}

impl BeatError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Timing { error, .. } => error.page(),
            Self::Twice(_) => "schedule-twice",
            Self::Conflict(_) => "schedule-conflict",
            Self::Ledger(error) => error.page(),
            Self::Transport(error) => error.page(),
            Self::Ended(_) => "defect",
        }
    }
}

/// Turns time into messages. Any number may run.
#[derive(Debug)]
pub struct Beat {
    ctx: Context,
    hooks: Hooks,
}

impl Beat {
    /// A beat over these ports. Does nothing until it is run.
    pub fn new(
        transport: Arc<dyn Transport>,
        store: Store,
        clock: Arc<StoreClock>,
        options: BeatOptions,
    ) -> Self {
        let options = options.sound();
        let board = Arc::new(Board::new(clock.clone(), options.lease));
        let stop = CancellationToken::new();
        let (hooks, watches) = (HookQueue::default(), Watches::default());
        let ctx = Context { transport, store, clock, options, board, hooks, watches, stop };
        Self { ctx, hooks: Hooks::default() }
    }

    /// With these hooks, which it calls while it runs; none unless told.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// Whether it does its work; stays valid while it runs.
    pub fn health(&self) -> BeatHealth {
        BeatHealth { board: self.ctx.board.clone() }
    }

    /// Runs until it is told to stop, whatever the ledger and the broker do meanwhile: outages are waited out.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), BeatError> {
        // Its own token: when a part ends by itself, the others are stopped without stopping the whole program.
        self.ctx.stop = stop.child_token();
        let (hooks, calling) = self.hooks.start(self.ctx.clock.clock().clone());
        self.ctx.hooks = hooks;
        let ctx = Arc::new(self.ctx);
        measure::register();
        let notices = &ctx.options.notices;
        telemetry::know_queues(notices.dead.iter().chain(&notices.overdue));
        let (mut parts, alive) = start(&ctx);
        tracing::info!(
            name = ctx.options.name, namespace = %ctx.options.namespace, tzdb = upbeat_schedule::tzdb_version(),
            "the beat runs"
        );
        let early = tokio::select! {
            // Told to stop, parts end one by one; only what ends before that is a defect.
            biased;
            () = ctx.stop.cancelled() => None,
            ended = parts.join_next() => ended,
        };
        ctx.stop.cancel();
        if tokio::time::timeout(GRACE, finish(&mut parts)).await.is_err() {
            tracing::debug!("not everything that was begun was finished; it is repeated by another beat");
            parts.shutdown().await;
        }
        calling.stop(HOOKS_WAIT).await;
        goodbye(&ctx, &alive).await;
        ctx.board.stopped();
        match early {
            None => Ok(()),
            Some(Ok(part)) => Err(BeatError::Ended(part.to_owned())),
            Some(Err(error)) => Err(BeatError::Ended(error.to_string())),
        }
    }
}

type Parts = JoinSet<&'static str>;

fn start(ctx: &Arc<Context>) -> (Parts, watch::Receiver<Option<reap::Alive>>) {
    let (alive_tx, alive) = watch::channel(None);
    let (lost_tx, lost) = watch::channel(Vec::new());
    let (held_tx, held) = watch::channel(Held::default());
    let mut parts = JoinSet::new();
    let mut part = |name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>| {
        parts.spawn(async move {
            task.await;
            name
        });
    };
    part("heartbeat", Box::pin(reap::heartbeat(ctx.clone(), alive_tx, lost_tx)));
    part("reap", Box::pin(reap::reap(ctx.clone(), lost)));
    part("shards", Box::pin(leases::hold(ctx.clone(), alive.clone(), held_tx)));
    part("plan", Box::pin(plan::run(ctx.clone(), held)));
    part("promote", Box::pin(promote::run(ctx.clone())));
    part("undeliverable", Box::pin(undeliverable::run(ctx.clone(), alive.clone())));
    part("overdue", Box::pin(overdue::run(ctx.clone())));
    part("purge", Box::pin(purge::run(ctx.clone())));
    part("measure", Box::pin(measure::run(ctx.clone())));
    (parts, alive)
}

async fn finish(parts: &mut Parts) {
    while let Some(ended) = parts.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the beat ended badly");
        }
    }
}

/// Leaves in good order, so that the other beats take over at once.
async fn goodbye(ctx: &Context, alive: &watch::Receiver<Option<reap::Alive>>) {
    let Some(me) = *alive.borrow() else { return };
    match tokio::time::timeout(GOODBYE, ctx.store.ledger.leave(me.owner)).await {
        Ok(Ok(())) => tracing::info!(name = ctx.options.name, "the beat has stopped"),
        Ok(Err(error)) => tracing::warn!(%error, "the beat has stopped; its heartbeat runs out by itself"),
        Err(_) => tracing::warn!("the beat has stopped; its heartbeat runs out by itself"),
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Hand, Scripted, Stage};
    use super::*;

    #[tokio::test]
    async fn a_beat_becomes_ready_and_leaves_in_good_order_when_it_is_stopped() {
        let stage = Stage::new(Hand::at("2026-05-01T12:00:00Z"), Scripted::with_queues(&[])).await;
        let ctx = &stage.ctx;
        let store = ctx.store.clone();
        let beat = Beat::new(ctx.transport.clone(), store.clone(), ctx.clock.clone(), ctx.options.clone());
        let (health, stop) = (beat.health(), CancellationToken::new());
        assert!(!health.ready());
        let running = tokio::spawn(beat.run(stop.clone()));
        let ready = async {
            while !health.ready() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ready).await.unwrap();
        assert_eq!(store.inspect.members().await.unwrap().len(), 1);
        stop.cancel();
        running.await.unwrap().unwrap();
        assert_eq!(health.why_not().unwrap(), "it was stopped");
        assert_eq!(store.inspect.members().await.unwrap(), []);
    }
}
