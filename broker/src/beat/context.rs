//! What every loop of a beat shares: the ports, each call under a timeout; the clock; waiting that a stop ends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use upbeat_shared::clock::{self, StoreClock};
use upbeat_shared::hook::HookQueue;
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::telemetry;
use upbeat_shared::transport::{Transport, TransportError};

use super::health::{Board, Fault, Part};
use super::options::BeatOptions;
use super::overdue::Watches;

/// The first wait after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What the waits after failures grow to.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// One beat's surroundings.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) store: Store,
    pub(super) clock: Arc<StoreClock>,
    pub(super) options: BeatOptions,
    pub(super) board: Arc<Board>,
    pub(super) hooks: HookQueue,
    /// Occurrences that may come to be overdue.
    pub(super) watches: Watches,
    pub(super) stop: CancellationToken,
}

impl Context {
    /// The beat's own monotonic clock.
    pub(super) fn monotonic(&self) -> Duration {
        self.clock.clock().monotonic()
    }

    /// Uniform in 0 to 1.
    pub(super) fn chance(&self) -> f64 {
        clock::fraction(self.clock.clock().random())
    }

    /// Awaits a call of the ledger, no longer than the timeout.
    pub(super) async fn ledger<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        within(&self.clock, self.options.timeout, call, answer).await
    }

    /// Calls the ledger until it answers or the beat is stopped: for what must not be left undone.
    pub(super) async fn persist<T, F>(
        &self,
        name: &'static str,
        call: impl Fn() -> F,
    ) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        let mut failures = 0;
        loop {
            match self.ledger(name, call()).await {
                Err(LedgerError::Unavailable(_)) if !self.stop.is_cancelled() => {
                    failures += 1;
                    self.pause(backoff(failures, fastrand::f64())).await;
                }
                answer => return answer,
            }
        }
    }

    /// Awaits a call of the broker, no longer than the timeout.
    pub(super) async fn broker<T>(
        &self,
        answer: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        let limit = self.options.timeout;
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::Unavailable(format!("no answer within {limit:?}"))),
        }
    }

    /// Asks the store for its time, and learns from the round trip.
    pub(super) async fn sample(&self) -> Result<Timestamp, LedgerError> {
        sample(&self.store, &self.clock, self.options.timeout).await
    }

    /// Waits; `false` if the beat was stopped meanwhile.
    pub(super) async fn pause(&self, how_long: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(how_long) => true,
        }
    }

    /// Notes on the board what became of a round, and after a failure waits, longer each time in a row.
    pub(super) async fn conclude(&self, part: Part, outcome: Result<(), Fault>, failures: &mut u32) {
        match outcome {
            Ok(()) => {
                *failures = 0;
                self.board.succeeded(part);
            }
            Err(fault) => {
                self.board.failed(part, &fault);
                *failures = failures.saturating_add(1);
                self.pause(backoff(*failures, self.chance())).await;
            }
        }
    }
}

/// Asks the store for its time, and learns from the round trip.
pub(super) async fn sample(
    store: &Store,
    clock: &StoreClock,
    timeout: Duration,
) -> Result<Timestamp, LedgerError> {
    let sent = clock.clock().monotonic();
    let now = within(clock, timeout, "now", store.ledger.now()).await?;
    clock.observe(sent, now);
    Ok(now)
}

/// Awaits a call of the ledger, no longer than this, and counts it.
pub(super) async fn within<T>(
    clock: &StoreClock,
    limit: Duration,
    call: &'static str,
    answer: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    let sent = clock.clock().monotonic();
    let answer = match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(LedgerError::Unavailable(format!("no answer within {limit:?}"))),
    };
    telemetry::ledger_called(call, answer.is_ok(), clock.clock().monotonic().saturating_sub(sent));
    answer
}

/// How long to wait after so many failures in a row. `random`, 0 to 1, keeps beats that failed together from coming back
/// together.
pub(super) fn backoff(failures: u32, random: f64) -> Duration {
    let doubled =
        FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_PAUSE).mul_f64(random.clamp(0.0, 1.0).mul_add(0.5, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_after_failures_grow_up_to_a_bound_and_are_never_nothing() {
        let at_most = |failures| backoff(failures, 1.0).as_millis();
        assert_eq!([1, 2, 3, 6, 100].map(at_most), [100, 200, 400, 3000, 3000]);
        assert_eq!(backoff(1, 0.0).as_millis(), 50);
    }
}
