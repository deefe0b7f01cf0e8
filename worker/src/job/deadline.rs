//! A task's deadline, as it bounds a run and what becomes of it. Pure.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use super::verdict::StopReason;

/// How long a run may take, and what it is told when that is over: its timeout, or what is left until the deadline.
pub(super) fn bound(
    timeout: Duration,
    begins: Timestamp,
    deadline: Option<Timestamp>,
) -> (Duration, StopReason) {
    let left = deadline.map(|deadline| clock::until(begins, deadline));
    match left.filter(|left| *left <= timeout) {
        Some(left) => (left, StopReason::Deadline),
        None => (timeout, StopReason::TimedOut(timeout)),
    }
}

/// The error of a run that the deadline stopped, or came before.
pub(super) fn passed() -> RunError {
    RunError::new(RunErrorKind::Deadline, "its deadline came before it was done")
}

/// What would run again after the deadline ends now: `left` is the time until then.
pub(super) fn in_time(verdict: Verdict, left: Option<Duration>) -> Verdict {
    let Some(left) = left else { return verdict };
    let late = |delay: Duration, message: String| {
        let message = format!("{message}; it would run again in {delay:?}, which is after its deadline");
        RunError::new(RunErrorKind::Deadline, message)
    };
    match verdict {
        Verdict::Retry { delay, error } if delay >= left => {
            let RunError { message, code, .. } = error;
            Verdict::Dead { error: late(delay, message).coded(code) }
        }
        Verdict::Snooze { delay } if delay >= left => {
            Verdict::Dead { error: late(delay, "it was put off".to_owned()) }
        }
        Verdict::Crashed { error, again: Some(delay) } if delay >= left => {
            Verdict::Crashed { error, again: None }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_run_is_bounded_by_what_comes_first() {
        let bound = |deadline: Option<i64>| super::bound(SECOND * 10, at(100), deadline.map(at));
        assert_eq!(bound(None), (SECOND * 10, StopReason::TimedOut(SECOND * 10)));
        assert_eq!(bound(Some(200)), (SECOND * 10, StopReason::TimedOut(SECOND * 10)));
        assert_eq!(bound(Some(103)), (SECOND * 3, StopReason::Deadline));
        assert_eq!(bound(Some(99)), (Duration::ZERO, StopReason::Deadline));
    }

    #[test]
    fn what_would_run_again_after_the_deadline_ends_at_once_and_keeps_its_error() {
        let error = RunError::new(RunErrorKind::Failed, "no route").coded(Some("route".into()));
        let retry = Verdict::Retry { delay: SECOND * 5, error: error.clone() };
        assert_eq!(in_time(retry.clone(), None), retry);
        assert_eq!(in_time(retry.clone(), Some(SECOND * 6)), retry);
        let Verdict::Dead { error: late } = in_time(retry, Some(SECOND * 5)) else {
            panic!("it is too late")
        };
        assert_eq!((late.kind, late.code), (RunErrorKind::Deadline, error.code));
        assert_eq!(late.message, "no route; it would run again in 5s, which is after its deadline");

        let snooze = Verdict::Snooze { delay: SECOND };
        assert_eq!(in_time(snooze.clone(), Some(SECOND * 2)), snooze);
        assert!(
            matches!(in_time(snooze, Some(SECOND)), Verdict::Dead { error } if error.kind == RunErrorKind::Deadline)
        );
    }

    #[test]
    fn a_process_that_died_after_the_deadline_is_not_started_again() {
        let died = |again| Verdict::Crashed { error: RunError::new(RunErrorKind::Crashed, "killed"), again };
        assert_eq!(in_time(died(Some(Duration::ZERO)), Some(SECOND)), died(Some(Duration::ZERO)));
        assert_eq!(in_time(died(Some(Duration::ZERO)), Some(Duration::ZERO)), died(None));
    }

    #[test]
    fn what_is_done_or_given_back_is_left_to_the_ledger() {
        for verdict in [Verdict::Succeeded { result: None }, Verdict::Released { reason: "shutdown".into() }]
        {
            assert_eq!(in_time(verdict.clone(), Some(Duration::ZERO)), verdict);
        }
    }
}
