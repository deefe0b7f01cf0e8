//! What becomes of a run. Pure: reads no clock, no store and no randomness of its own.

use std::time::Duration;

use upbeat_shared::message::Payload;
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use crate::executor::TaskError;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The handler returned, in time or after it was told to stop: what is done is done.
    Succeeded(Option<Payload>),
    /// The handler returned an error.
    Failed(TaskError),
    /// The handler panicked.
    Panicked(String),
    /// It was told to stop, and did not succeed afterwards.
    Stopped(StopReason),
}

/// Why a run was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Somebody cancelled the task.
    Cancelled,
    /// It ran longer than it may.
    TimedOut(Duration),
    /// The worker could not renew its lease: somebody else may run the task by now.
    LeaseLost,
    /// The worker stops.
    Shutdown,
}

/// What was counted before a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Failures that the task reported.
    pub(crate) attempts: u32,
    /// Workers, or processes of its own, lost while it ran.
    pub(crate) crashes: u32,
}

/// By what an outcome is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) policy: &'a RetryPolicy,
    pub(crate) max_crashes: u32,
}

/// Decides. `random` is uniform in 0 to 1 and spreads retries.
pub(crate) fn decide(outcome: Outcome, counts: Counts, rules: &Rules<'_>, random: f64) -> Verdict {
    let (attempts, policy) = (counts.attempts, rules.policy);
    let failed = |kind, message: String| {
        let error = RunError::new(kind, message);
        match policy.delay_after(attempts.saturating_add(1), random) {
            Some(delay) => Verdict::Retry { delay, error },
            None => Verdict::Dead { error },
        }
    };
    match outcome {
        Outcome::Succeeded(result) => Verdict::Succeeded { result },
        Outcome::Failed(error) => match error {
            TaskError::Retry(message) => failed(RunErrorKind::Failed, message),
            TaskError::RetryAfter { delay, message } => {
                with_delay(failed(RunErrorKind::Failed, message), delay)
            }
            TaskError::Snooze { delay } => Verdict::Snooze { delay },
            TaskError::GiveUp(message) => {
                Verdict::Dead { error: RunError::new(RunErrorKind::Failed, message) }
            }
            TaskError::Cancel(reason) => Verdict::Cancelled { reason: bounded(reason) },
            TaskError::BadArguments(message) => {
                Verdict::Dead { error: RunError::new(RunErrorKind::BadArguments, message) }
            }
            TaskError::Crashed(message) => {
                let last = counts.crashes.saturating_add(1) >= rules.max_crashes;
                let error = RunError::new(RunErrorKind::Crashed, message);
                Verdict::Crashed { error, again: (!last).then_some(Duration::ZERO) }
            }
        },
        Outcome::Panicked(message) => failed(RunErrorKind::Panicked, message),
        Outcome::Stopped(reason) => match reason {
            StopReason::Cancelled => {
                Verdict::Cancelled { reason: "it was asked to stop while it ran".into() }
            }
            StopReason::TimedOut(limit) => {
                failed(RunErrorKind::TimedOut, format!("it ran longer than its timeout of {limit:?}"))
            }
            StopReason::LeaseLost => {
                Verdict::Released { reason: "its worker could not renew its lease".into() }
            }
            StopReason::Shutdown => Verdict::Released { reason: "its worker stops".into() },
        },
    }
}

/// What metrics count; see [`label`].
pub(crate) const LABELS: [&str; 7] =
    ["succeeded", "retry", "snoozed", "dead", "cancelled", "released", "crashed"];

/// How a run can fail, as metrics count it. That a whole worker was lost is found by a beat, the other kinds before there is
/// a run.
pub(crate) const FAILURES: [RunErrorKind; 5] = [
    RunErrorKind::Failed,
    RunErrorKind::Panicked,
    RunErrorKind::TimedOut,
    RunErrorKind::BadArguments,
    RunErrorKind::Crashed,
];

/// As which of [`FAILURES`] a verdict counts, if it is a failure.
pub(crate) fn failure(verdict: &Verdict) -> Option<usize> {
    let (Verdict::Retry { error, .. } | Verdict::Dead { error } | Verdict::Crashed { error, .. }) = verdict
    else {
        return None;
    };
    FAILURES.iter().position(|kind| *kind == error.kind)
}

/// As which of [`LABELS`] a verdict counts.
pub(crate) fn label(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Succeeded { .. } => 0,
        Verdict::Retry { .. } => 1,
        Verdict::Snooze { .. } => 2,
        Verdict::Dead { .. } => 3,
        Verdict::Cancelled { .. } => 4,
        Verdict::Released { .. } => 5,
        Verdict::Crashed { .. } => 6,
    }
}

/// The handler's delay in place of the policy's; a last attempt stays the last.
fn with_delay(verdict: Verdict, delay: Duration) -> Verdict {
    match verdict {
        Verdict::Retry { error, .. } => Verdict::Retry { delay, error },
        other => other,
    }
}

fn bounded(reason: String) -> String {
    RunError::new(RunErrorKind::Failed, reason).message
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::retry::{Backoff, Jitter};

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 3,
        backoff: Backoff::Exponential,
        delay: Duration::from_secs(10),
        max_delay: Duration::from_mins(1),
        jitter: Jitter::None,
    };

    fn decided(outcome: Outcome, attempts: u32) -> Verdict {
        let rules = Rules { policy: &POLICY, max_crashes: 3 };
        decide(outcome, Counts { attempts, crashes: 0 }, &rules, 0.5)
    }

    fn failed(error: TaskError, attempts: u32) -> Verdict {
        decided(Outcome::Failed(error), attempts)
    }

    fn dead(kind: RunErrorKind, message: &str) -> Verdict {
        Verdict::Dead { error: RunError::new(kind, message) }
    }

    #[test]
    fn a_failure_is_retried_after_the_policys_delay_until_attempts_are_exhausted() {
        let fails = || TaskError::Retry("no".into());
        let error = RunError::new(RunErrorKind::Failed, "no");
        let retry = |seconds| Verdict::Retry { delay: Duration::from_secs(seconds), error: error.clone() };
        assert_eq!(failed(fails(), 0), retry(10));
        assert_eq!(failed(fails(), 1), retry(20));
        assert_eq!(failed(fails(), 2), dead(RunErrorKind::Failed, "no"));
        assert_eq!(failed(fails(), u32::MAX), dead(RunErrorKind::Failed, "no"));
    }

    #[test]
    fn a_handlers_own_delay_wins_but_makes_no_attempts() {
        let later = || TaskError::RetryAfter { delay: Duration::from_secs(7), message: "busy".into() };
        let Verdict::Retry { delay, .. } = failed(later(), 0) else { panic!("it has attempts left") };
        assert_eq!(delay, Duration::from_secs(7));
        assert_eq!(failed(later(), 2), dead(RunErrorKind::Failed, "busy"));
    }

    #[test]
    fn what_cannot_succeed_is_dead_at_once() {
        assert_eq!(failed(TaskError::GiveUp("gone".into()), 0), dead(RunErrorKind::Failed, "gone"));
        let verdict = failed(TaskError::BadArguments("no number".into()), 0);
        assert_eq!(verdict, dead(RunErrorKind::BadArguments, "no number"));
    }

    #[test]
    fn a_process_that_died_counts_a_crash_until_there_were_too_many() {
        let died = |crashes| {
            let rules = Rules { policy: &POLICY, max_crashes: 3 };
            let outcome = Outcome::Failed(TaskError::Crashed("killed by signal 9".into()));
            match decide(outcome, Counts { attempts: 99, crashes }, &rules, 0.5) {
                Verdict::Crashed { error, again } => (error.kind, again),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(died(1), (RunErrorKind::Crashed, Some(Duration::ZERO)));
        assert_eq!(died(2), (RunErrorKind::Crashed, None));
    }

    #[test]
    fn timeouts_and_panics_are_failures() {
        let stopped =
            |attempts| decided(Outcome::Stopped(StopReason::TimedOut(Duration::from_secs(5))), attempts);
        let Verdict::Retry { error, .. } = stopped(0) else { panic!("it has attempts left") };
        assert_eq!(error.kind, RunErrorKind::TimedOut);
        assert_eq!(stopped(2), dead(RunErrorKind::TimedOut, "it ran longer than its timeout of 5s"));
        let Verdict::Retry { error, .. } = decided(Outcome::Panicked("boom".into()), 0) else {
            panic!("it has attempts left")
        };
        assert_eq!((error.kind, error.message.as_str()), (RunErrorKind::Panicked, "boom"));
    }

    #[test]
    fn a_snooze_and_a_release_count_no_attempt_even_after_the_last() {
        let delay = Duration::from_secs(1);
        assert_eq!(failed(TaskError::Snooze { delay }, 99), Verdict::Snooze { delay });
        for reason in [StopReason::LeaseLost, StopReason::Shutdown] {
            assert!(matches!(decided(Outcome::Stopped(reason), 99), Verdict::Released { .. }));
        }
    }

    #[test]
    fn a_cancelled_run_is_cancelled_and_a_late_success_stands() {
        let verdict = decided(Outcome::Stopped(StopReason::Cancelled), 0);
        assert!(matches!(verdict, Verdict::Cancelled { .. }));
        assert_eq!(decided(Outcome::Succeeded(None), 99), Verdict::Succeeded { result: None });
    }
}
