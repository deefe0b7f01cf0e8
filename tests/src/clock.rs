//! Clocks that a test moves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use upbeat_shared::clock::Clock;

/// Stands still until it is moved. Clones of the `Arc` are the same clock, so several members can share a host's.
#[derive(Debug)]
pub struct HandClock(Mutex<Hands>);

#[derive(Clone, Copy, Debug)]
struct Hands {
    wall: Timestamp,
    monotonic: Duration,
}

impl HandClock {
    /// Its wall clock shows `wall`.
    pub fn at(wall: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Hands { wall, monotonic: Duration::from_secs(1) })))
    }

    /// Noon of a day without any peculiarity.
    pub fn noon() -> Arc<Self> {
        Self::at("2026-05-06T12:00:00Z".parse().expect("an instant"))
    }

    /// Time passes: both hands go on.
    pub fn forward(&self, by: Duration) {
        let mut hands = self.0.lock().expect("no holder panics");
        hands.wall = upbeat_shared::clock::later(hands.wall, by);
        hands.monotonic += by;
    }

    /// Somebody sets the wall clock; no time passes.
    pub fn set_wall(&self, by: SignedDuration) {
        let mut hands = self.0.lock().expect("no holder panics");
        hands.wall = hands.wall.checked_add(by).expect("an instant within the years 1 to 9999");
    }
}

impl Clock for HandClock {
    fn wall(&self) -> Timestamp {
        self.0.lock().expect("no holder panics").wall
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().expect("no holder panics").monotonic
    }
}

/// A clock that runs as another one does, its wall clock wrong by so much.
#[derive(Debug)]
pub struct OffsetClock {
    of: Arc<dyn Clock>,
    by: Mutex<SignedDuration>,
}

impl OffsetClock {
    /// Wrong by `by` from now on.
    pub fn new(of: Arc<dyn Clock>, by: SignedDuration) -> Arc<Self> {
        Arc::new(Self { of, by: Mutex::new(by) })
    }

    /// Somebody sets it again: wrong by `by` from now on.
    pub fn set(&self, by: SignedDuration) {
        *self.by.lock().expect("no holder panics") = by;
    }
}

impl Clock for OffsetClock {
    fn wall(&self) -> Timestamp {
        let by = *self.by.lock().expect("no holder panics");
        self.of.wall().checked_add(by).expect("an instant within the years 1 to 9999")
    }

    fn monotonic(&self) -> Duration {
        self.of.monotonic()
    }
}
