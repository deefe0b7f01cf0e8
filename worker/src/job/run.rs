//! One run: the executor under its timeout, told to stop when it must, its panics caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use upbeat_shared::clock;
use upbeat_shared::message::Payload;

use super::Job;
use super::verdict::{Outcome, StopReason};
use crate::executor::{RunContext, TaskError};
use crate::runtime::Context;

/// The executor's answer, or what it panicked with.
type Ended = Result<Result<Option<Payload>, TaskError>, Box<dyn Any + Send>>;

/// Runs a claimed message once.
pub(crate) async fn run(ctx: &Context, job: &Job) -> Outcome {
    if let Some(reason) = job.control.reason() {
        // Told to stop between claim and run.
        return Outcome::Stopped(reason);
    }
    let timeout = timeout(ctx, job);
    let context = context(ctx, job, timeout);
    let next = ctx.layers.around(job.handler.task.executor.clone());
    // In an async function, so that a panic before the executor returns its future is caught like any other.
    let run = AssertUnwindSafe(next.run(context)).catch_unwind();
    let mut run: Pin<Box<dyn Future<Output = Ended> + Send>> = Box::pin(run);
    tokio::select! {
        // In this order: a run that is done is done, and most never wait.
        biased;
        // A handler that obeys at once ends before the next line sees that it was told to stop.
        ended = &mut run => outcome(ended, job.control.reason()),
        () = job.control.token().cancelled() => stop(ctx, job, run).await,
        () = tokio::time::sleep(timeout) => {
            job.control.stop(StopReason::TimedOut(timeout));
            stop(ctx, job, run).await
        }
    }
}

/// Gives a run that was told to stop some time to do so, then drops it.
async fn stop(ctx: &Context, job: &Job, mut run: Pin<Box<dyn Future<Output = Ended> + Send>>) -> Outcome {
    let reason = job.control.reason().expect("a run is told to stop for a reason");
    let obeyed = tokio::select! {
        biased;
        ended = &mut run => Some(ended),
        () = tokio::time::sleep(grace(ctx, reason)) => None,
        () = ctx.drop_runs.cancelled() => None,
    };
    if let Some(ended) = obeyed {
        return outcome(ended, Some(reason));
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(run))) {
        tracing::warn!(panic = panic_message(&*panic), "a run panicked while it was dropped");
    }
    Outcome::Stopped(reason)
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

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the handler panicked")
}

fn grace(ctx: &Context, reason: StopReason) -> Duration {
    let grace = ctx.options.stop_grace;
    match reason {
        StopReason::Cancelled | StopReason::TimedOut(_) | StopReason::Shutdown => grace,
        StopReason::LeaseLost => grace.min(ctx.member.lapse_grace()),
    }
}

fn timeout(ctx: &Context, job: &Job) -> Duration {
    let own = job.message.timeout.or(job.handler.task.timeout);
    own.unwrap_or(ctx.options.default_timeout)
}

fn context(ctx: &Context, job: &Job, timeout: Duration) -> RunContext {
    RunContext {
        message: job.message.clone(),
        attempt: job.claim.attempts.saturating_add(1),
        crashes: job.claim.crashes,
        fence: job.claim.fence,
        deadline: clock::later(job.claim.at, timeout),
        cancel: job.control.token().clone(),
        client: Some(ctx.client.continuing(job.message.trace.clone())),
        clock: Arc::clone(&ctx.clock),
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
