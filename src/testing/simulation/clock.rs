//! Clocks: the store's, and those of members, whose wall clocks may be wrong by years.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use tokio::time::Instant;
use upbeat_shared::clock::{self, Clock};

use super::net::Net;
use crate::testing::chance::Dice;

/// The host of broker and ledger: the simulation's own time.
#[derive(Debug)]
pub(super) struct StoreHost {
    pub(super) net: Arc<Net>,
    pub(super) start: Timestamp,
}

impl Clock for StoreHost {
    fn wall(&self) -> Timestamp {
        clock::later(self.start, self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.net.now())
    }
}

/// The host of one process. Its monotonic clock is the paused clock of the process's own runtime.
#[derive(Debug)]
pub(super) struct MemberHost {
    start: Timestamp,
    wrong_by: SignedDuration,
    /// When the process began, in milliseconds of the simulation.
    born: u64,
    origin: Instant,
    /// What it showed last, for who asks outside of the runtime.
    last: AtomicU64,
    dice: Mutex<Dice>,
}

impl MemberHost {
    pub(super) fn new(
        start: Timestamp,
        wrong_by: SignedDuration,
        born: u64,
        origin: Instant,
        dice: Dice,
    ) -> Self {
        Self { start, wrong_by, born, origin, last: AtomicU64::new(0), dice: Mutex::new(dice) }
    }

    fn dice(&self) -> std::sync::MutexGuard<'_, Dice> {
        self.dice.lock().expect("no holder of the dice panics")
    }
}

impl Clock for MemberHost {
    fn wall(&self) -> Timestamp {
        let right = clock::later(self.start, self.monotonic());
        right.saturating_add(self.wrong_by).unwrap_or(right)
    }

    #[expect(clippy::disallowed_methods, reason = "a paused clock, which the simulator alone moves")]
    fn monotonic(&self) -> Duration {
        if Handle::try_current().is_ok() {
            let lived = Instant::now().saturating_duration_since(self.origin);
            let lived = u64::try_from(lived.as_micros()).unwrap_or(u64::MAX);
            self.last.store(lived, Ordering::Relaxed);
        }
        Duration::from_millis(self.born) + Duration::from_micros(self.last.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        self.dice().next()
    }

    fn unique(&self) -> u128 {
        let mut dice = self.dice();
        u128::from(dice.next()) << 64 | u128::from(dice.next())
    }
}
