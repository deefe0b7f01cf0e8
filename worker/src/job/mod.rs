//! One task from delivery to acknowledgement. Everything here comes in batches: what is ready together is claimed
//! together, settled together and acknowledged together.

mod aside;
mod claim;
pub(crate) mod committed;
mod dead;
mod deadline;
pub(crate) mod handlers;
mod reaction;
mod read;
mod run;
pub(crate) mod settle;
pub(crate) mod told;
pub(crate) mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use upbeat_shared::clock;
use upbeat_shared::id::{OwnerId, Token};
use upbeat_shared::ledger::{Claim, ClaimAnswer, OwnedClaim, Settlement};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;

use crate::queues::{Slot, Taken};
use crate::runtime::Context;
use crate::runtime::held::Control;
use crate::runtime::receipt::{self, Acks, Receipt};
use crate::suspect::Turn;
use handlers::Handler;
use read::Candidate;
pub(crate) use run::panic_message;
use settle::{Finished, Ran};
use verdict::{Counts, Outcome, Rules, StopReason};

/// Deliveries claimed in one question to the ledger, at most.
const BATCH: usize = 500;

/// Where a job goes after this one.
#[derive(Clone)]
pub(crate) struct Stages {
    /// Every run, and whatever else has a slot.
    pub(crate) runs: TaskTracker,
    /// Verdicts to settle.
    pub(crate) finished: mpsc::Sender<Finished>,
    /// Deliveries to acknowledge.
    pub(crate) acks: Acks,
}

/// A claimed message.
struct Job {
    owner: OwnerId,
    token: Token,
    claim: Claim,
    message: Arc<Message>,
    handler: Arc<Handler>,
    receipt: Option<Receipt>,
    control: Arc<Control>,
    /// It is a suspect and runs in a process of its own.
    is_alone: bool,
    /// Held while it runs, if it had to wait for it.
    _turn: Option<Turn>,
}

/// Takes what has a slot, until told otherwise.
pub(crate) async fn dispatch(ctx: Arc<Context>, stages: Stages, done: CancellationToken) {
    loop {
        // `take` takes nothing unless it answers.
        let taken = tokio::select! {
            biased;
            () = done.cancelled() => return,
            taken = ctx.queues.take(BATCH) => taken,
        };
        start(&ctx, &stages, taken).await;
    }
}

/// Reads a batch, claims it, and starts what was acquired.
pub(crate) async fn start(ctx: &Arc<Context>, stages: &Stages, taken: Vec<Taken>) {
    let mut candidates = Vec::with_capacity(taken.len());
    let mut odd = Vec::new();
    for taken in taken {
        match read::read(ctx, taken) {
            Ok(candidate) => candidates.push(candidate),
            Err(other) => odd.push(*other),
        }
    }
    if !odd.is_empty() {
        stages.runs.spawn(aside::put(ctx.clone(), odd, stages.acks.clone()));
    }
    if candidates.is_empty() {
        return;
    }
    let owner = ctx.member.owner();
    if !ctx.gate.ledger_up() {
        return give_back(ctx, candidates).await;
    }
    match claim::acquire(ctx, owner, &candidates).await {
        Ok(answers) => {
            upbeat_shared::failpoint!("worker.claimed");
            follow(ctx, stages, owner, candidates, answers).await;
        }
        // Rows that were claimed all the same are released by the sweep that follows.
        Err(_) => give_back(ctx, candidates).await,
    }
}

/// Does with each candidate what the ledger answered.
async fn follow(
    ctx: &Arc<Context>,
    stages: &Stages,
    owner: OwnerId,
    candidates: Vec<Candidate>,
    answers: Vec<ClaimAnswer>,
) {
    let (mut jobs, mut refused, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let mut stale = Vec::new();
    for (candidate, answer) in candidates.into_iter().zip(answers) {
        match answer {
            ClaimAnswer::Acquired(claim) => jobs.push(Job::new(owner, claim, candidate)),
            ClaimAnswer::Ended(TaskState::Dead) => {
                stale.push(candidate.message.clone());
                refused.push(candidate);
            }
            ClaimAnswer::Done(_)
            | ClaimAnswer::Busy
            | ClaimAnswer::Stale
            | ClaimAnswer::Ended(_)
            | ClaimAnswer::Limited { .. } => refused.push(candidate),
            ClaimAnswer::Retired => lost.push(candidate),
        }
    }
    let mut done = launch(ctx, stages, owner, jobs);
    if !refused.is_empty() {
        ctx.held.forget(refused.iter().map(|candidate| candidate.token));
        done.extend(refused.into_iter().map(|candidate| candidate.receipt));
    }
    if !done.is_empty() {
        // An error means that nobody acknowledges any more: the broker delivers again, and the ledger knows.
        let _ = stages.acks.send(done).await;
    }
    if !stale.is_empty() {
        stages.runs.spawn(dead::stale(ctx.clone(), stale));
    }
    if !lost.is_empty() {
        crate::member::retired(ctx, owner);
        give_back(ctx, lost).await;
    }
}

/// Starts what was acquired; answers the deliveries that are done with already.
fn launch(ctx: &Arc<Context>, stages: &Stages, owner: OwnerId, jobs: Vec<(Job, Slot)>) -> Vec<Receipt> {
    ctx.held.acquired(jobs.iter().map(|(job, _)| (job.token, job.control.clone())));
    // Looked at after the controls are known, so that whoever loses the lease from here on stops them.
    let holds = ctx.member.holds(owner);
    let mut done = Vec::new();
    for (mut job, slot) in jobs {
        if let Some(waited) = job.waited() {
            ctx.queues.waited(slot.line(), waited);
        }
        if !holds {
            job.control.stop(StopReason::LeaseLost);
        } else if job.claim.cancel_requested {
            job.control.stop(StopReason::Cancelled);
        }
        // By the row's count: the message's may be older.
        job.is_alone = ctx.runs_alone(job.claim.crashes, &job.handler.task);
        if job.handler.task.ack_when_claimed {
            done.extend(job.receipt.take());
        }
        let span = span(&job);
        stages.runs.spawn(process(ctx.clone(), job, slot, stages.finished.clone()).instrument(span));
    }
    done
}

/// A claimed message from its run to its verdict.
async fn process(ctx: Arc<Context>, job: Job, slot: Slot, finished: mpsc::Sender<Finished>) {
    ctx.health.run_started();
    job.handler.began();
    ctx.handlers.running().increment(1.0);
    let seat = run::seat(&ctx, &job).await;
    let started = ctx.monotonic();
    let outcome = match seat {
        Ok(seat) => run::run(&ctx, &job, seat).await,
        Err(reason) => Outcome::Stopped(reason),
    };
    let took = ctx.monotonic().saturating_sub(started);
    let verdict = decide(&ctx, &job, outcome);
    upbeat_shared::failpoint!("worker.ran");
    report(&job, &verdict, took);
    ctx.handlers.running().decrement(1.0);
    ctx.health.run_ended();
    // An error means that nobody settles any more, because the worker was dropped. A beat will find the row.
    let _ = finished.send(job.finish(&ctx, verdict)).await;
    drop(slot);
}

fn decide(ctx: &Context, job: &Job, outcome: Outcome) -> Verdict {
    let own = job.message.retry.or(job.handler.task.retry);
    let policy = own.unwrap_or(ctx.options.default_retry);
    let random = clock::fraction(ctx.clock.clock().random());
    let Claim { attempts, crashes, .. } = job.claim;
    // Without a deadline nobody asks for the time.
    let left = job.message.deadline_at.map(|deadline| {
        let now = ctx.clock.now().unwrap_or(job.claim.at);
        clock::until(now, deadline)
    });
    let rules =
        Rules { policy: &policy, max_crashes: ctx.options.max_crashes, on: &job.handler.task.on, left };
    let verdict = verdict::decide(outcome, Counts { attempts, crashes }, &rules, random);
    match verdict {
        Verdict::Succeeded { result: Some(result) } if result.bytes.len() > ctx.options.limits.body_bytes => {
            tracing::warn!(
                bytes = result.bytes.len(),
                "the result is larger than a message may be; it is not kept"
            );
            Verdict::Succeeded { result: None }
        }
        verdict => verdict,
    }
}

/// Tells what became of a run, and what happens next.
fn report(job: &Job, verdict: &Verdict, took: Duration) {
    job.handler.ended(verdict, took);
    match verdict {
        Verdict::Succeeded { .. } => tracing::debug!(?took, "the task succeeded"),
        Verdict::Retry { delay, error } => {
            tracing::info!(
                kind = error.kind.as_str(),
                error = error.message,
                "the task failed; it runs again in {delay:?}"
            );
        }
        Verdict::Dead { error } => {
            tracing::warn!(kind = error.kind.as_str(), error = error.message, "the task failed for good");
        }
        Verdict::Snooze { delay } => tracing::debug!("the task runs again in {delay:?}"),
        Verdict::Cancelled { reason } => tracing::info!(reason, "the task is cancelled"),
        Verdict::Crashed { error, again } => tracing::warn!(
            error = error.message,
            again = again.is_some(),
            "the process that ran the task alone died"
        ),
        Verdict::Released { reason } => tracing::info!(reason, "the task is given back, to run again"),
    }
}

async fn give_back(ctx: &Context, candidates: Vec<Candidate>) {
    ctx.held.forget(candidates.iter().map(|candidate| candidate.token));
    receipt::give_back(candidates.into_iter().map(|candidate| candidate.receipt).collect()).await;
}

/// Every line that a run logs says whose it is.
fn span(job: &Job) -> tracing::Span {
    let message = &job.message;
    tracing::info_span!(
        "run",
        id = %message.id,
        task = %message.name,
        queue = %message.queue,
        attempt = job.claim.attempts.saturating_add(1),
        fence = job.claim.fence.0,
        traceparent = message.trace.as_ref().map(|trace| trace.traceparent.as_str()),
        tracestate = message.trace.as_ref().and_then(|trace| trace.tracestate.as_deref()),
    )
}

impl Job {
    fn new(owner: OwnerId, claim: Claim, candidate: Candidate) -> (Self, Slot) {
        let Candidate { message, handler, token, receipt, slot, turn } = candidate;
        let control = Arc::new(Control::new(message.id));
        let job = Self {
            owner,
            token,
            claim,
            message: Arc::new(message),
            handler,
            receipt: Some(receipt),
            control,
            is_alone: false,
            _turn: turn,
        };
        (job, slot)
    }

    /// From when it was due until its claim. A task without a row was due when it was published.
    fn waited(&self) -> Option<Duration> {
        let due_at = self.claim.due_at.or(self.message.first_published)?;
        Some(clock::until(due_at, self.claim.at))
    }

    fn finish(self, ctx: &Context, verdict: Verdict) -> Finished {
        let claim = OwnedClaim { id: self.message.id, fence: self.claim.fence, token: self.token };
        let Claim { attempts, crashes, .. } = self.claim;
        let ran = Ran { message: self.message, attempts, crashes };
        let then = dead::then(ctx, &ran, &verdict);
        let settlement = Settlement { owner: self.owner, claim, verdict, then };
        Finished { settlement, ran, receipt: self.receipt }
    }
}
