//! One run: the executor under its timeout, told to stop when it must, its panics caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use upbeat_shared::clock;
use upbeat_shared::message::Payload;

use super::Job;
use super::deadline;
use super::verdict::{Outcome, StopReason};
use crate::executor::blocking::Seat;
use crate::executor::{RunContext, TaskError};
use crate::layer::{RunLayers, RunNext};
use crate::progress::Reporter;
use crate::runtime::Context;

/// The executor's answer, or what it panicked with.
type Ended = Result<Result<Option<Payload>, TaskError>, Box<dyn Any + Send>>;

/// Waits for the thread of a handler that blocks; it may be told to stop before it gets one. Its time does not count yet.
pub(crate) async fn seat(ctx: &Context, job: &Job) -> Result<Option<Arc<Seat>>, StopReason> {
    if job.is_alone || !job.handler.task.executor.is_blocking() {
        return Ok(None);
    }
    tokio::select! {
        biased;
        () = job.control.token().cancelled() => Err(reason(job)),
        seat = ctx.handlers.seat() => Ok(Some(seat)),
    }
}

/// Runs a claimed message once.
pub(crate) async fn run(ctx: &Context, job: &Job, seat: Option<Arc<Seat>>) -> Outcome {
    let outcome = run_on(ctx, job, seat.as_ref()).await;
    if let Some(seat) = seat {
        seat.leave();
    }
    job.control.committed().stands(outcome)
}

async fn run_on(ctx: &Context, job: &Job, seat: Option<&Arc<Seat>>) -> Outcome {
    if let Some(reason) = job.control.reason() {
        // Told to stop between claim and run.
        return Outcome::Stopped(reason);
    }
    let begins = begins(ctx, job, seat);
    let (timeout, out_of_time) = deadline::bound(timeout(ctx, job), begins, job.message.deadline_at);
    if timeout.is_zero() {
        return Outcome::Stopped(out_of_time);
    }
    let context = context(ctx, job, clock::later(begins, timeout), seat);
    let mut soft = Soft::of(job, timeout, &context);
    let next = what_runs(ctx, job);
    // In an async function, so that a panic before the executor returns its future is caught like any other.
    let run = AssertUnwindSafe(next.run(context)).catch_unwind();
    let mut run: Running = Box::pin(run);
    tokio::select! {
        // In this order: a run that is done is done, and most never wait.
        biased;
        // A handler that obeys at once ends before the next line sees that it was told to stop.
        ended = &mut run => outcome(ended, job.control.reason()),
        () = job.control.token().cancelled() => stop(ctx, job, seat, run).await,
        () = out_of_time_after(timeout, &mut soft) => {
            job.control.stop(out_of_time);
            stop(ctx, job, seat, run).await
        }
    }
}

/// A run that is told to wind up before it is out of time.
struct Soft {
    after: Duration,
    told: CancellationToken,
}

impl Soft {
    fn of(job: &Job, timeout: Duration, context: &RunContext) -> Option<Self> {
        let after = job.handler.task.soft_timeout.filter(|after| *after < timeout)?;
        Some(Self { after, told: context.soft_timeout.clone() })
    }
}

/// Waits until a run is out of time, and tells it on the way to wind up.
async fn out_of_time_after(timeout: Duration, soft: &mut Option<Soft>) {
    let Some(Soft { after, told }) = soft.take() else { return tokio::time::sleep(timeout).await };
    tokio::time::sleep(after).await;
    tracing::debug!(?after, "the run is past its soft timeout and told to wind up");
    told.cancel();
    tokio::time::sleep(timeout.saturating_sub(after)).await;
}

/// The task's executor within the program's layers; of a suspect, the process in which they are.
fn what_runs(ctx: &Context, job: &Job) -> RunNext {
    let executor = job.handler.task.executor.clone();
    #[cfg(unix)]
    if let Some(program) = ctx.suspects.program().filter(|_| job.is_alone) {
        let alone = crate::suspect::Alone { program: program.clone() };
        return RunLayers::new().around(Arc::new(alone));
    }
    ctx.layers.around(executor)
}

/// A run that can be dropped.
type Running = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// Gives a run that was told to stop some time to do so, then drops it.
async fn stop(ctx: &Context, job: &Job, seat: Option<&Arc<Seat>>, mut run: Running) -> Outcome {
    let reason = reason(job);
    let grace = grace(ctx, job, reason);
    let mut obeyed = obey(ctx, grace, &mut run).await;
    if let Some(seat) = seat.filter(|_| obeyed.is_none()) {
        obeyed = outlast(ctx, (reason, grace), seat, &mut run).await;
    }
    if let Some(ended) = obeyed {
        return outcome(ended, Some(reason));
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(run))) {
        tracing::warn!(panic = panic_message(&*panic), "a run panicked while it was dropped");
    }
    Outcome::Stopped(reason)
}

/// The end of a run that has some time left.
async fn obey(ctx: &Context, grace: Duration, run: &mut Running) -> Option<Ended> {
    tokio::select! {
        biased;
        ended = run => Some(ended),
        () = tokio::time::sleep(grace) => None,
        () = ctx.drop_runs.cancelled() => None,
    }
}

/// Waits for a handler that sits on a thread, however long that takes: to drop its run would let another worker start its
/// task while this one is at it.
async fn outlast(
    ctx: &Context,
    (reason, grace): (StopReason, Duration),
    seat: &Seat,
    run: &mut Running,
) -> Option<Ended> {
    if seat.is_taken() {
        tracing::warn!(
            ?reason,
            "a handler that blocks its thread was told to stop and has not; its task stays claimed and its slot taken until \
             it returns: let it ask `is_cancelled()` now and then"
        );
    }
    tokio::select! {
        biased;
        ended = &mut *run => return Some(ended),
        () = seat.vacated() => {}
    }
    // What there is around the handler gets the time that was meant for both.
    obey(ctx, grace, run).await
}

/// Why it was told to stop.
fn reason(job: &Job) -> StopReason {
    job.control.reason().expect("a run is told to stop for a reason")
}

/// What is done is done: a success stands, however late. Any other end of a run that was told to stop has that reason.
fn outcome(ended: Ended, stopped: Option<StopReason>) -> Outcome {
    match (ended, stopped) {
        (Ok(Ok(result)), _) => Outcome::Succeeded(result),
        (_, Some(reason)) => Outcome::Stopped(reason),
        (Ok(Err(error)), None) => Outcome::Failed(error),
        (Err(panic), None) => Outcome::Panicked(panic_message(&*panic).to_owned()),
    }
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the handler panicked")
}

/// How long it may go on.
fn grace(ctx: &Context, job: &Job, reason: StopReason) -> Duration {
    let grace = job.handler.task.cancel_grace.unwrap_or(ctx.options.cancel_grace);
    match reason {
        StopReason::Cancelled | StopReason::TimedOut(_) | StopReason::Deadline | StopReason::Shutdown => {
            grace
        }
        StopReason::LeaseLost => grace.min(ctx.member.lapse_grace()),
    }
}

fn timeout(ctx: &Context, job: &Job) -> Duration {
    let own = job.message.timeout.or(job.handler.task.timeout);
    own.unwrap_or(ctx.options.default_timeout)
}

/// When its time begins to count: a run that had to wait for its thread begins now.
fn begins(ctx: &Context, job: &Job, seat: Option<&Arc<Seat>>) -> Timestamp {
    seat.and_then(|_| ctx.clock.now()).unwrap_or(job.claim.at)
}

fn context(ctx: &Context, job: &Job, deadline: Timestamp, seat: Option<&Arc<Seat>>) -> RunContext {
    let cancel = job.control.token().clone();
    // A task without a soft timeout needs no token of its own.
    let soft_timeout =
        if job.handler.task.soft_timeout.is_some() { cancel.child_token() } else { cancel.clone() };
    RunContext {
        message: job.message.clone(),
        attempt: job.claim.attempts.saturating_add(1),
        crashes: job.claim.crashes,
        fence: job.claim.fence,
        token: job.token,
        deadline,
        cancel,
        soft_timeout,
        client: Some(ctx.client.continuing(job.message.trace.clone())),
        clock: Arc::clone(&ctx.clock),
        seat: seat.cloned(),
        reporter: Reporter { latest: job.control.progress().clone(), news: Some(ctx.member.news().clone()) },
        owner: job.owner,
        committed: job.control.committed().clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_stands_however_late() {
        let late = outcome(Ok(Ok(None)), Some(StopReason::LeaseLost));
        assert_eq!(late, Outcome::Succeeded(None));
    }

    #[test]
    fn an_error_after_being_told_to_stop_is_the_stop() {
        let failed = || Ok(Err(TaskError::Retry("interrupted".into())));
        assert_eq!(outcome(failed(), Some(StopReason::Shutdown)), Outcome::Stopped(StopReason::Shutdown));
        assert_eq!(outcome(failed(), None), Outcome::Failed(TaskError::Retry("interrupted".into())));
    }

    #[test]
    fn a_panic_keeps_its_message() {
        for panic in [Box::new("boom") as Box<dyn Any + Send>, Box::new(String::from("boom"))] {
            assert_eq!(outcome(Err(panic), None), Outcome::Panicked("boom".into()));
        }
    }
}
