//! Waiting for something to happen: this process' own writes wake at once, others' are found by looking again soon.
//!
//! Postgres could tell (`NOTIFY`), but it orders the commits of all who do, by a lock on the whole database. Redis could too
//! (`PUBLISH`), at the price of a connection and of a message to every process for each task.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// The shortest time between two looks, when something happened lately.
const SHORTEST: Duration = Duration::from_millis(10);

/// How soon somebody who waits should look again.
#[derive(Debug)]
pub(super) struct Pace {
    happened: watch::Sender<u64>,
    /// What had happened when somebody last looked.
    seen: AtomicU64,
    /// The time until the next look, in microseconds: grows while nothing happens.
    interval: AtomicU64,
    longest: Duration,
}

impl Pace {
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            happened: watch::Sender::new(0),
            seen: AtomicU64::new(0),
            interval: AtomicU64::new(micros(SHORTEST)),
            longest,
        }
    }

    /// This process did something that others wait for.
    pub(super) fn happened(&self) {
        self.stir();
        self.happened.send_modify(|count| *count += 1);
    }

    /// Something is going on: look often.
    pub(super) fn stir(&self) {
        self.interval.store(micros(SHORTEST), Ordering::Relaxed);
    }

    /// Somebody is about to look: what happened until now need not wake them.
    pub(super) fn looking(&self) {
        self.seen.store(*self.happened.borrow(), Ordering::Relaxed);
    }

    /// Until something happened since the last look, or it is time for another one; `at_most` that long.
    pub(super) async fn wait(&self, at_most: Duration) {
        let mut happened = self.happened.subscribe();
        if *happened.borrow_and_update() != self.seen.load(Ordering::Relaxed) {
            return;
        }
        self.pause(at_most, happened).await;
    }

    async fn pause(&self, at_most: Duration, mut happened: watch::Receiver<u64>) {
        let interval = self.interval.load(Ordering::Relaxed);
        let soon = Duration::from_micros(interval).min(at_most);
        if tokio::time::timeout(soon, happened.changed()).await.is_err() {
            let grown = (interval + interval / 4).min(micros(self.longest));
            // However many wait at once, it grows once.
            let order = Ordering::Relaxed;
            let _ = self.interval.compare_exchange(interval, grown, order, order);
        }
    }
}

/// What this process did, for those who decide by themselves when to look at what others did.
#[derive(Debug, Default)]
pub(super) struct Bell(watch::Sender<()>);

impl Bell {
    /// This process did something that others wait for.
    pub(super) fn ring(&self) {
        self.0.send_replace(());
    }

    /// Until it rings, from the first poll on: `true`; or for `at_most`.
    pub(super) async fn rings_within(&self, at_most: Duration) -> bool {
        let mut rung = self.0.subscribe();
        tokio::time::timeout(at_most, rung.changed()).await.is_ok()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn looks_become_rarer_while_nothing_happens() {
        let pace = Pace::new(Duration::from_millis(15));
        for _ in 0..5 {
            pace.wait(LONG).await;
        }
        assert_eq!(pace.interval.load(Ordering::Relaxed), 15_000);
        pace.stir();
        assert_eq!(pace.interval.load(Ordering::Relaxed), 10_000);
    }

    #[tokio::test]
    async fn what_happened_since_the_last_look_wakes_at_once() {
        let pace = Pace::new(LONG);
        pace.interval.store(micros(LONG), Ordering::Relaxed);
        pace.looking();
        pace.happened.send_modify(|count| *count += 1);
        tokio::time::timeout(Duration::from_millis(1), pace.wait(LONG))
            .await
            .expect("it happened before the wait");
        pace.looking();
        let waiting = tokio::time::timeout(Duration::from_millis(1), pace.wait(LONG)).await;
        waiting.expect_err("nothing happened since");
    }
}
