//! A rate as people write it, and work that keeps to it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use upbeat_shared::clock::Clock;

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    count: u32,
    per: Duration,
}

/// Units that a rate is written with, and how long each is.
const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// How often in a second work that keeps to a rate is done, if the rate allows it.
const STEPS: u64 = 10;

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate: one looks like 50/s, 600/m or 5/h");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        Ok(Self { count, per: Duration::from_secs(seconds) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.into_iter().find(|(_, seconds)| *seconds == self.per.as_secs());
        write!(f, "{}/{}", self.count, unit.map_or("s", |(name, _)| name))
    }
}

impl Rate {
    /// How many are done at once.
    pub(crate) fn batch(self, most: usize) -> usize {
        let step = u64::from(self.count) / (self.per.as_secs() * STEPS);
        usize::try_from(step).unwrap_or(most).clamp(1, most)
    }

    /// When, from the beginning, so many may have been done.
    fn at(self, done: u64) -> Duration {
        let micros = u128::from(done) * self.per.as_micros() / u128::from(self.count);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// Holds work to a rate, from now on.
pub(crate) struct Pacer {
    clock: Arc<dyn Clock>,
    rate: Rate,
    began: Duration,
}

impl Pacer {
    pub(crate) fn new(clock: Arc<dyn Clock>, rate: Rate) -> Self {
        let began = clock.monotonic();
        Self { clock, rate, began }
    }

    /// Waits until more than these may be done, or it is asked to stop.
    pub(crate) async fn after(&self, done: u64, stop: &CancellationToken) {
        let passed = self.clock.monotonic().saturating_sub(self.began);
        let wait = self.rate.at(done).saturating_sub(passed);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        assert_eq!(rate("50/s").at(100), Duration::from_secs(2));
        assert_eq!(rate("600 / m").at(10), Duration::from_secs(1));
        assert_eq!(rate("5/h").to_string(), "5/h");
        for wrong in ["50", "0/s", "-1/s", "50/d", "x/s", "", "1.5/s"] {
            assert!(wrong.parse::<Rate>().unwrap_err().contains("50/s"), "{wrong}");
        }
    }

    #[test]
    fn what_is_done_at_once_is_a_tenth_of_a_second_of_it() {
        assert_eq!(rate("50/s").batch(500), 5);
        assert_eq!(rate("1/h").batch(500), 1);
        assert_eq!(rate("1000000/s").batch(500), 500);
    }
}
