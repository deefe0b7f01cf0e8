//! A world's clock: stands still until the test moves it.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock::{self, Clock};

use crate::testing::chance::Dice;

/// Time and chance of one world.
#[derive(Debug)]
pub(super) struct WorldClock(Mutex<Hands>);

#[derive(Debug)]
struct Hands {
    wall: Timestamp,
    monotonic: Duration,
    dice: Dice,
}

impl WorldClock {
    /// Stands at `start`, in the whole microseconds that ledgers keep.
    pub(super) fn new(start: Timestamp, seed: u64) -> Self {
        let wall = clock::whole_micros(start);
        Self(Mutex::new(Hands { wall, monotonic: Duration::ZERO, dice: Dice::new(seed) }))
    }

    /// Time has passed: it is `at` now, unless it is later already.
    pub(super) fn forward_to(&self, at: Timestamp) {
        let mut hands = self.hands();
        let by = clock::until(hands.wall, clock::whole_micros(at));
        hands.wall = clock::later(hands.wall, by);
        hands.monotonic += by;
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().expect("no holder of the hands panics")
    }
}

impl Clock for WorldClock {
    fn wall(&self) -> Timestamp {
        self.hands().wall
    }

    fn monotonic(&self) -> Duration {
        self.hands().monotonic
    }

    fn random(&self) -> u64 {
        self.hands().dice.next()
    }

    fn unique(&self) -> u128 {
        let mut hands = self.hands();
        u128::from(hands.dice.next()) << 64 | u128::from(hands.dice.next())
    }
}
