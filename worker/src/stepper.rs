//! A worker that does one thing at a time, when it is told to: for tests and simulations.
//!
//! It takes, claims, runs, settles and acknowledges with the very code that a running worker uses. Only what drives it is
//! another: no loop of its own, no time that passes by itself.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use upbeat_shared::hook::HookCalls;
use upbeat_shared::id::TaskId;
use upbeat_shared::name::QueueName;
use upbeat_shared::transport::Transport;
use upbeat_shared::verdict::Verdict;

use crate::job::settle::Finished;
use crate::job::{self, Stages, settle};
use crate::member;
use crate::queues::{Slot, Taken};
use crate::runtime::{Context, receipt};
use crate::worker::WorkerError;

/// Batches of deliveries that are done with, of one step: nobody takes them before its end.
const MAX_ACKS: usize = 8;

/// See [`Worker::stepper`](crate::Worker::stepper). Steps may be taken within steps: by what runs in one of them.
pub struct Stepper {
    ctx: Arc<Context>,
    hooks: HookCalls,
}

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It was run, and this is settled.
    Ran {
        /// Which task.
        id: TaskId,
        /// What became of the run. The row may say otherwise: a run that was cancelled meanwhile, or whose claim was lost.
        verdict: Verdict,
    },
    /// It was not run: the ledger refused the claim, or nobody here knows its name, or it cannot be understood. It is done
    /// with, or on the agenda.
    Set {
        /// Where it came from.
        queue: QueueName,
        /// Its task's name, if it says one.
        name: Option<String>,
    },
}

impl Stepper {
    pub(crate) fn new(ctx: Arc<Context>, hooks: HookCalls) -> Self {
        Self { ctx, hooks }
    }

    /// Sends a heartbeat, and does what its answer says: which queues are paused. Before the first step, and whenever time has
    /// passed.
    pub async fn heartbeat(&self) -> Result<(), WorkerError> {
        Ok(member::renew_in_time(&self.ctx).await?)
    }

    /// Takes one delivery, whichever queue's turn it is, and sees it through to its acknowledgement; `None` if no queue has
    /// one, or every slot is taken by the steps around this one.
    pub async fn step(&self) -> Result<Option<Step>, WorkerError> {
        let transport = self.ctx.transport.clone();
        self.step_from(&*transport).await
    }

    /// As [`Stepper::step`], with a delivery from another broker.
    pub async fn step_from(&self, transport: &dyn Transport) -> Result<Option<Step>, WorkerError> {
        let Some(slot) = self.next_turn(transport).await? else { return Ok(None) };
        let Some(taken) = self.take(transport, slot).await? else { return Ok(None) };
        let (queue, name) = (taken.queue.clone(), taken.message.kind.clone());
        let (finished, acks) = self.run(taken).await;
        let ran = finished.as_ref().map(|finished| Step::Ran {
            id: finished.settlement.claim.id,
            verdict: finished.settlement.verdict.clone(),
        });
        let settled = settle::settle_all(&self.ctx, finished.into_iter().collect()).await;
        receipt::acknowledge(acks.into_iter().chain(settled)).await;
        self.hooks.call_waiting().await;
        Ok(Some(ran.unwrap_or(Step::Set { queue, name })))
    }

    /// The slot of the queue whose turn it is, by weight, among those that are not paused and have something.
    async fn next_turn(&self, transport: &dyn Transport) -> Result<Option<Slot>, WorkerError> {
        let names = self.ctx.queues.names();
        let mut ready = Vec::with_capacity(names.len());
        for queue in names {
            let waits = transport.depth(queue).await?.is_some_and(|depth| depth.ready > 0);
            ready.push(waits && self.ctx.gate.is_open(queue));
        }
        Ok(self.ctx.queues.next_turn(|line| ready[line]))
    }

    /// The first delivery of the slot's queue.
    async fn take(&self, transport: &dyn Transport, slot: Slot) -> Result<Option<Taken>, WorkerError> {
        let (ctx, line) = (&self.ctx, slot.line());
        // For one delivery alone: what is not taken stays in its place.
        let mut consumer = transport.consume(&ctx.queues.names()[line], 1).await?;
        let Some(deliveries) = consumer.next(1).now_or_never() else { return Ok(None) };
        ctx.queues.push(line, deliveries?, &consumer.acknowledger(), ctx.monotonic(), Some(slot));
        Ok(ctx.queues.take(1).now_or_never().and_then(|taken| taken.into_iter().next()))
    }

    /// Claims and runs it; answers the verdict if it was run, and the deliveries that are done with otherwise.
    async fn run(&self, taken: Taken) -> (Option<Finished>, Vec<receipt::Receipt>) {
        let (finished, mut verdicts) = mpsc::channel(1);
        let (acks, mut done) = mpsc::channel(MAX_ACKS);
        let stages = Stages { runs: TaskTracker::new(), finished, acks };
        job::start(&self.ctx, &stages, vec![taken]).await;
        stages.runs.close();
        stages.runs.wait().await;
        drop(stages);
        let mut receipts = Vec::new();
        while let Ok(more) = done.try_recv() {
            receipts.extend(more);
        }
        (verdicts.try_recv().ok(), receipts)
    }
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").finish_non_exhaustive()
    }
}
