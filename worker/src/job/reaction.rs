//! What a task says of failures by their code, in place of what the failure itself asked for. Pure.

use std::borrow::Cow;
use std::time::Duration;

use upbeat_shared::reaction::{self, Reaction};
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::verdict::Verdict;

use super::verdict::{Outcome, StopReason};
use crate::executor::TaskError;

/// The code of a run's end, if it is a failure that has one.
pub(super) fn code_of(outcome: &Outcome) -> Option<Cow<'static, str>> {
    match outcome {
        Outcome::Failed(TaskError::Coded { code, .. }) => Some(code.clone().into()),
        Outcome::Panicked(_) => Some(reaction::PANIC.into()),
        Outcome::Stopped(StopReason::TimedOut(_)) => Some(reaction::TIMEOUT.into()),
        Outcome::Succeeded(_) | Outcome::Failed(_) | Outcome::Stopped(_) => None,
    }
}

/// The delay that a failure came with.
pub(super) fn own_delay(outcome: &Outcome) -> Option<Duration> {
    let Outcome::Failed(TaskError::Coded { error, .. }) = outcome else { return None };
    let TaskError::RetryAfter { delay, .. } = **error else { return None };
    Some(delay)
}

/// How often the task has failed by now, when to retry it, and chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure<'a> {
    pub(super) failures: u32,
    pub(super) policy: &'a RetryPolicy,
    pub(super) own_delay: Option<Duration>,
    pub(super) random: f64,
}

/// Reacts to a failure. What is no failure, or was none of the task's making, stays as it is.
pub(super) fn react(verdict: Verdict, failure: Failure<'_>, reaction: Reaction) -> Verdict {
    let error = match verdict {
        Verdict::Retry { error, .. } | Verdict::Dead { error } => error,
        other => return other,
    };
    let again = |policy: &RetryPolicy| policy.delay_after(failure.failures, failure.random);
    let delay = match reaction {
        Reaction::GiveUp => None,
        Reaction::Retry(policy) => again(&policy).map(|delay| failure.own_delay.unwrap_or(delay)),
        Reaction::RetryAfter(delay) => again(failure.policy).map(|_| delay),
        Reaction::Snooze(delay) => return Verdict::Snooze { delay },
    };
    match delay {
        Some(delay) => Verdict::Retry { delay, error },
        None => Verdict::Dead { error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::retry::{Backoff, Jitter};
    use upbeat_shared::verdict::{RunError, RunErrorKind};

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 2,
        backoff: Backoff::Constant,
        delay: Duration::from_secs(1),
        max_delay: Duration::from_mins(1),
        jitter: Jitter::None,
    };

    fn error() -> RunError {
        RunError::new(RunErrorKind::Failed, "no")
    }

    fn reacted(reaction: Reaction, failures: u32, own_delay: Option<Duration>) -> Verdict {
        let failure = Failure { failures, policy: &POLICY, own_delay, random: 0.5 };
        react(Verdict::Dead { error: error() }, failure, reaction)
    }

    fn retry(seconds: u64) -> Verdict {
        Verdict::Retry { delay: Duration::from_secs(seconds), error: error() }
    }

    #[test]
    fn another_policy_counts_every_failure_and_keeps_the_failures_own_delay() {
        let patient = RetryPolicy { max_attempts: 5, delay: Duration::from_secs(9), ..POLICY };
        assert_eq!(reacted(Reaction::Retry(patient), 4, None), retry(9));
        assert_eq!(reacted(Reaction::Retry(patient), 5, None), Verdict::Dead { error: error() });
        assert_eq!(reacted(Reaction::Retry(patient), 4, Some(Duration::from_secs(30))), retry(30));
    }

    #[test]
    fn a_delay_of_its_own_leaves_the_tasks_attempts() {
        let minute = Duration::from_mins(1);
        assert_eq!(reacted(Reaction::RetryAfter(minute), 1, Some(Duration::from_secs(30))), retry(60));
        assert_eq!(reacted(Reaction::RetryAfter(minute), 2, None), Verdict::Dead { error: error() });
    }

    #[test]
    fn giving_up_and_snoozing_ask_for_no_attempts() {
        assert_eq!(reacted(Reaction::GiveUp, 1, None), Verdict::Dead { error: error() });
        let delay = Duration::from_secs(7);
        assert_eq!(reacted(Reaction::Snooze(delay), 99, None), Verdict::Snooze { delay });
    }

    #[test]
    fn what_is_no_failure_stays_as_it_is() {
        let failure = Failure { failures: 1, policy: &POLICY, own_delay: None, random: 0.5 };
        for verdict in [
            Verdict::Succeeded { result: None },
            Verdict::Cancelled { reason: "by hand".into() },
            Verdict::Snooze { delay: Duration::ZERO },
            Verdict::Released { reason: "shutdown".into() },
        ] {
            assert_eq!(react(verdict.clone(), failure, Reaction::GiveUp), verdict);
        }
    }
}
