//! What becomes of a run. Pure: reads no clock, no store and no randomness of its own.

use std::borrow::Cow;
use std::time::Duration;

use upbeat_shared::message::Payload;
use upbeat_shared::reaction::{Reaction, Reactions, TIMEOUT};
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use super::deadline;
use super::reaction::{self, Failure};
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
    /// The task's deadline came.
    Deadline,
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
    /// What the task says of failures by their code.
    pub(crate) on: &'a Reactions,
    /// The time until the task's deadline, if it has one.
    pub(crate) left: Option<Duration>,
}

/// Decides. `random` is uniform in 0 to 1 and spreads retries.
pub(crate) fn decide(outcome: Outcome, counts: Counts, rules: &Rules<'_>, random: f64) -> Verdict {
    let code = reaction::code_of(&outcome);
    let reaction = code.as_deref().and_then(|code| rules.on.to(code));
    let failure = Failure {
        failures: counts.attempts.saturating_add(1),
        policy: rules.policy,
        own_delay: reaction::own_delay(&outcome),
        random,
    };
    if let (Some(Reaction::Snooze(_)), Outcome::Failed(error)) = (reaction, &outcome) {
        // A snooze leaves no error in the record.
        tracing::info!(code = code.as_deref(), %error, "the task failed; it is put off, as it says of such failures");
    }
    let asked_for = judge(outcome, counts, rules, random);
    let verdict = match reaction {
        Some(reaction) => reaction::react(asked_for, failure, reaction),
        None => asked_for,
    };
    deadline::in_time(verdict, rules.left)
}

/// What the outcome itself asks for.
fn judge(outcome: Outcome, counts: Counts, rules: &Rules<'_>, random: f64) -> Verdict {
    let (attempts, policy) = (counts.attempts, rules.policy);
    let code = match reaction::code_of(&outcome) {
        // The kind says as much.
        Some(Cow::Borrowed(_)) | None => None,
        Some(Cow::Owned(code)) => Some(code),
    };
    // A handler, or a command, that gives up at its soft timeout was out of time.
    let kind = if code.as_deref() == Some(TIMEOUT) { RunErrorKind::TimedOut } else { RunErrorKind::Failed };
    let failed = |kind, message: String| {
        let error = RunError::new(kind, message).coded(code.clone());
        match policy.delay_after(attempts.saturating_add(1), random) {
            Some(delay) => Verdict::Retry { delay, error },
            None => Verdict::Dead { error },
        }
    };
    match outcome {
        Outcome::Succeeded(result) => Verdict::Succeeded { result },
        Outcome::Failed(error) => match error.into_parts().1 {
            TaskError::Retry(message) => failed(kind, message),
            TaskError::RetryAfter { delay, message } => with_delay(failed(kind, message), delay),
            TaskError::Snooze { delay } => Verdict::Snooze { delay },
            TaskError::GiveUp(message) => Verdict::Dead { error: RunError::new(kind, message).coded(code) },
            TaskError::Cancel(reason) => Verdict::Cancelled { reason: bounded(reason) },
            TaskError::BadArguments(message) => {
                Verdict::Dead { error: RunError::new(RunErrorKind::BadArguments, message) }
            }
            // No code has another one in it.
            TaskError::Coded { error, .. } => failed(kind, error.to_string()),
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
            StopReason::Deadline => Verdict::Dead { error: deadline::passed() },
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
pub(crate) const FAILURES: [RunErrorKind; 6] = [
    RunErrorKind::Failed,
    RunErrorKind::Panicked,
    RunErrorKind::TimedOut,
    RunErrorKind::BadArguments,
    RunErrorKind::Deadline,
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
        let rules = Rules { policy: &POLICY, max_crashes: 3, on: &Reactions::default(), left: None };
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
            let rules = Rules { policy: &POLICY, max_crashes: 3, on: &Reactions::default(), left: None };
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

    /// As a task decides that gives up when the card is declined, is patient with timeouts and puts off panics.
    fn by_code(outcome: Outcome, attempts: u32) -> Verdict {
        let patient = RetryPolicy { max_attempts: 9, ..POLICY };
        let on = Reactions::from_iter([
            ("card_declined".parse().unwrap(), Reaction::GiveUp),
            ("timeout".parse().unwrap(), Reaction::Retry(patient)),
            ("panic".parse().unwrap(), Reaction::Snooze(Duration::from_mins(5))),
            ("http:404".parse().unwrap(), Reaction::RetryAfter(Duration::from_mins(1))),
        ]);
        let rules = Rules { policy: &POLICY, max_crashes: 3, on: &on, left: None };
        decide(outcome, Counts { attempts, crashes: 0 }, &rules, 0.5)
    }

    #[test]
    fn what_a_task_says_of_a_code_wins_over_what_the_failure_asked_for() {
        let coded = |error: TaskError, code: &str| by_code(Outcome::Failed(error.code(code)), 0);
        let error = |message: &str, code: &str| {
            RunError::new(RunErrorKind::Failed, message).coded(Some(code.to_owned()))
        };
        let declined = coded(TaskError::Retry("no".into()), "card_declined");
        assert_eq!(declined, Verdict::Dead { error: error("no", "card_declined") });
        let missing = coded(TaskError::GiveUp("404".into()), "http:404");
        assert_eq!(
            missing,
            Verdict::Retry { delay: Duration::from_mins(1), error: error("404", "http:404") }
        );
        let other = coded(TaskError::GiveUp("410".into()), "http:410");
        assert_eq!(other, Verdict::Dead { error: error("410", "http:410") });
        let snooze = TaskError::Snooze { delay: Duration::ZERO };
        assert_eq!(coded(snooze, "card_declined"), Verdict::Snooze { delay: Duration::ZERO });
    }

    #[test]
    fn timeouts_and_panics_have_codes_too() {
        let late = Outcome::Stopped(StopReason::TimedOut(Duration::from_secs(5)));
        assert!(matches!(decided(late.clone(), 2), Verdict::Dead { .. }));
        assert!(matches!(by_code(late, 2), Verdict::Retry { .. }));
        let snoozed = Verdict::Snooze { delay: Duration::from_mins(5) };
        assert_eq!(by_code(Outcome::Panicked("boom".into()), 0), snoozed);
        // A handler that ends at its soft timeout.
        let wound_up = by_code(Outcome::Failed(TaskError::Retry("half".into()).code("timeout")), 2);
        assert!(matches!(wound_up, Verdict::Retry { error, .. } if error.kind == RunErrorKind::TimedOut));
    }

    #[test]
    fn a_deadline_ends_what_it_stops_and_what_would_be_retried_after_it() {
        let before = |left, outcome| {
            let rules =
                Rules { policy: &POLICY, max_crashes: 3, on: &Reactions::default(), left: Some(left) };
            decide(outcome, Counts::default(), &rules, 0.5)
        };
        let failed = || Outcome::Failed(TaskError::Retry("no".into()));
        assert!(matches!(before(Duration::from_secs(11), failed()), Verdict::Retry { .. }));
        let kind = |verdict| match verdict {
            Verdict::Dead { error } => error.kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(before(Duration::from_secs(10), failed())), RunErrorKind::Deadline);
        assert_eq!(
            kind(before(Duration::ZERO, Outcome::Stopped(StopReason::Deadline))),
            RunErrorKind::Deadline
        );
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
