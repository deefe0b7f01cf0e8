//! Time, injected: a member's own clock, and the store's time as a member knows it. Chance comes with it.
//!
//! Whatever is compared with now uses the store's time. A member's wall clock may be wrong by years; it is used for
//! log lines and for nothing else.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// A member's own clock, and its dice. The only place from which time and chance enter what a member does, so that a test or
/// a simulation can be the master of both.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The host's wall clock: may be wrong, may jump.
    fn wall(&self) -> Timestamp;

    /// Time since some fixed point: never goes back, runs at the right speed.
    fn monotonic(&self) -> Duration;

    /// Random bits, for jitter and tokens.
    fn random(&self) -> u64 {
        fastrand::u64(..)
    }

    /// Random bits that nobody else draws, for ids: those of a UUID of version 4.
    fn unique(&self) -> u128 {
        Uuid::new_v4().as_u128()
    }
}

/// Uniform in 0 to 1, of random bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
pub fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// The host's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: tokio::time::Instant,
}

#[allow(clippy::disallowed_methods, reason = "the one place where time enters")]
impl Default for SystemClock {
    fn default() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place where time enters")]
impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// How long a sample is preferred to a later one with a longer round trip.
const SAMPLE_LIFE: Duration = Duration::from_secs(60);

/// The store's time as this member knows it: its monotonic clock plus an offset sampled from round trips.
#[derive(Debug)]
pub struct StoreClock {
    clock: Arc<dyn Clock>,
    sample: Mutex<Option<Sample>>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Store's microseconds minus the monotonic clock's.
    offset: i64,
    round_trip: Duration,
    taken: Duration,
}

impl StoreClock {
    /// Knows no time until the first sample.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, sample: Mutex::new(None) }
    }

    /// The member's own clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The store's time now; `None` before the first round trip.
    pub fn now(&self) -> Option<Timestamp> {
        let sample = (*self.sample.lock().expect("no holder of the sample panics"))?;
        let micros = micros(self.clock.monotonic()).saturating_add(sample.offset);
        Timestamp::from_microsecond(micros).ok()
    }

    /// Learns from one round trip: `sent` is the monotonic time before the request, `store` the time in its answer.
    pub fn observe(&self, sent: Duration, store: Timestamp) {
        let taken = self.clock.monotonic();
        let round_trip = taken.saturating_sub(sent);
        let middle = sent + round_trip / 2;
        let offset = store.as_microsecond() - micros(middle);
        let next = Sample { offset, round_trip, taken };
        let mut sample = self.sample.lock().expect("no holder of the sample panics");
        if sample.is_none_or(|last| next.replaces(&last)) {
            *sample = Some(next);
        }
    }
}

impl Sample {
    /// A shorter round trip is a better sample. A disagreement larger than both round trips means that the store's
    /// clock was set.
    fn replaces(&self, last: &Sample) -> bool {
        let apart = Duration::from_micros(self.offset.abs_diff(last.offset));
        self.round_trip <= last.round_trip
            || self.taken.saturating_sub(last.taken) > SAMPLE_LIFE
            || apart > self.round_trip + last.round_trip
    }
}

/// The store's time where the store has no clock but its host's: the wall clock, never going back within a run.
#[cfg(any(feature = "embedded", feature = "memory"))]
#[derive(Debug)]
pub(crate) struct HostTime {
    clock: Arc<dyn Clock>,
    last: Mutex<Told>,
}

/// What was told last, in microseconds.
#[cfg(any(feature = "embedded", feature = "memory"))]
#[derive(Clone, Copy, Debug)]
struct Told {
    store: i64,
    monotonic: i64,
}

#[cfg(any(feature = "embedded", feature = "memory"))]
impl HostTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::new(Told { store: i64::MIN, monotonic: 0 }) }
    }

    /// Microseconds since 1970. When the wall clock is set back, time goes on from where it was, at the monotonic
    /// clock's speed, until the wall clock has caught up.
    pub(crate) fn now(&self) -> i64 {
        let wall = self.clock.wall().as_microsecond();
        let monotonic = micros(self.clock.monotonic());
        let mut last = self.last.lock().expect("no holder of the time panics");
        let on = last.store.saturating_add(monotonic.saturating_sub(last.monotonic).max(0));
        let store = if wall >= last.store { wall } else { on };
        *last = Told { store, monotonic };
        store
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Adds a duration, ending at the latest instant there is rather than failing.
pub fn later(from: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Subtracts a duration, ending at the earliest instant there is rather than failing.
pub fn earlier(from: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    from.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// How long from `from` until `until`; zero if that has passed.
pub fn until(from: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// Of microseconds since 1970; the nearest instant that there is.
pub fn of_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Cuts to whole microseconds, the precision that stores keep.
pub fn whole_micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Hand {
        fn forward(&self, millis: u64) {
            self.0.fetch_add(millis, Ordering::SeqCst);
        }
    }

    impl Clock for Hand {
        fn wall(&self) -> Timestamp {
            "1999-01-01T00:00:00Z".parse().unwrap()
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    #[test]
    fn store_time_ignores_a_wrong_wall_clock() {
        let hand = Arc::new(Hand::default());
        let clock = StoreClock::new(hand.clone());
        assert_eq!(clock.now(), None);
        let store: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        clock.observe(Duration::ZERO, store);
        hand.forward(1500);
        assert_eq!(clock.now().unwrap(), later(store, Duration::from_millis(1500)));
    }

    #[test]
    fn a_slow_round_trip_does_not_replace_a_fast_one_unless_the_store_was_set() {
        let hand = Arc::new(Hand::default());
        let clock = StoreClock::new(hand.clone());
        let store: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        clock.observe(Duration::ZERO, store);
        hand.forward(1000);
        // A second's round trip whose middle disagrees by half a second: within its own uncertainty.
        clock.observe(Duration::ZERO, later(store, Duration::from_millis(900)));
        assert_eq!(clock.now().unwrap(), later(store, Duration::from_secs(1)));
        clock.observe(Duration::from_millis(1000), later(store, Duration::from_secs(3600)));
        assert_eq!(clock.now().unwrap(), later(store, Duration::from_secs(3600)));
    }

    #[cfg(any(feature = "embedded", feature = "memory"))]
    #[test]
    fn a_hosts_time_goes_on_when_its_wall_clock_is_set_back() {
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

        let hands = Arc::new(Hands(Mutex::new((1000, 10))));
        let time = HostTime::new(hands.clone());
        assert_eq!(time.now(), 1_000_000_000);
        *hands.0.lock().unwrap() = (400, 15);
        assert_eq!(time.now(), 1_005_000_000);
        *hands.0.lock().unwrap() = (2000, 16);
        assert_eq!(time.now(), 2_000_000_000);
    }
}
