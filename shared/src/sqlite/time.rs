//! The store's time, embedded: the host's wall clock, never going back within a run.

use std::sync::{Arc, Mutex};

use crate::clock::Clock;

/// Gives the store's microseconds.
#[derive(Debug)]
pub(super) struct StoreTime {
    clock: Arc<dyn Clock>,
    last: Mutex<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    store: i64,
    monotonic: i64,
}

impl StoreTime {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::new(Last { store: i64::MIN, monotonic: 0 }) }
    }

    /// Microseconds since 1970. When the wall clock is set back, time goes on from where it was, at the monotonic
    /// clock's speed, until the wall clock has caught up.
    pub(super) fn now(&self) -> i64 {
        let wall = self.clock.wall().as_microsecond();
        let monotonic = i64::try_from(self.clock.monotonic().as_micros()).unwrap_or(i64::MAX);
        let mut last = self.last.lock().expect("no holder of the time panics");
        let on = last.store.saturating_add(monotonic.saturating_sub(last.monotonic).max(0));
        let store = if wall >= last.store { wall } else { on };
        *last = Last { store, monotonic };
        store
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::time::Duration;

    #[derive(Debug)]
    struct Hands(Mutex<(i64, u64)>);

    impl Clock for Hands {
        fn wall(&self) -> Timestamp {
            Timestamp::from_second(self.0.lock().unwrap().0).unwrap()
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
    }

    #[test]
    fn time_goes_on_when_the_wall_clock_is_set_back() {
        let hands = Arc::new(Hands(Mutex::new((1000, 10))));
        let time = StoreTime::new(hands.clone());
        assert_eq!(time.now(), 1_000_000_000);
        *hands.0.lock().unwrap() = (400, 15);
        assert_eq!(time.now(), 1_005_000_000);
        *hands.0.lock().unwrap() = (2000, 16);
        assert_eq!(time.now(), 2_000_000_000);
    }
}
