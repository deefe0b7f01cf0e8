//! When a failed task runs again. Pure: the caller brings the randomness.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the delay grows with the number of failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// `delay`, always.
    Constant,
    /// `delay × failures`.
    Linear,
    /// `delay × 2^(failures − 1)`.
    #[default]
    Exponential,
}

/// Whether the delay is spread, so that tasks that failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// The delay itself.
    None,
    /// Anything from nothing to the delay, as in AWS's "full jitter".
    #[default]
    Full,
}

/// A task's retry policy; a message's own wins over its task's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How often the task may run and fail, the first time included; at least 1.
    pub max_attempts: u32,
    /// How the delay grows.
    pub backoff: Backoff,
    /// The delay it grows from.
    #[serde(with = "millis", rename = "delay_ms")]
    pub delay: Duration,
    /// What it never exceeds.
    #[serde(with = "millis", rename = "max_delay_ms")]
    pub max_delay: Duration,
    /// Whether it is spread.
    pub jitter: Jitter,
}

impl Default for RetryPolicy {
    /// [`RetryPolicy::DEFAULT`].
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RetryPolicy {
    /// Ten attempts over roughly half an hour: 5 s, doubled up to 10 minutes, with full jitter.
    pub const DEFAULT: Self = Self {
        max_attempts: 10,
        backoff: Backoff::Exponential,
        delay: Duration::from_secs(5),
        max_delay: Duration::from_secs(600),
        jitter: Jitter::Full,
    };

    /// Never again after the first failure.
    pub const fn never() -> Self {
        Self {
            max_attempts: 1,
            backoff: Backoff::Constant,
            delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            jitter: Jitter::None,
        }
    }

    /// The delay after the `failures`-th failure (from 1), or `None` when there are no attempts left.
    ///
    /// `random` is uniform in 0 to 1 and decides the jitter.
    pub fn delay_after(&self, failures: u32, random: f64) -> Option<Duration> {
        if failures >= self.max_attempts {
            return None;
        }
        let factor = match self.backoff {
            Backoff::Constant => 1,
            Backoff::Linear => failures,
            Backoff::Exponential => 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX),
        };
        let delay = self.delay.saturating_mul(factor).min(self.max_delay);
        Some(match self.jitter {
            Jitter::None => delay,
            Jitter::Full => delay.mul_f64(random.clamp(0.0, 1.0)),
        })
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(value.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(backoff: Backoff) -> RetryPolicy {
        RetryPolicy { max_attempts: 100, backoff, jitter: Jitter::None, ..RetryPolicy::default() }
    }

    #[test]
    fn delays_grow_as_their_backoff_says() {
        let seconds = |policy: &RetryPolicy, n| policy.delay_after(n, 1.0).unwrap().as_secs();
        let constant = policy(Backoff::Constant);
        assert_eq!([1, 2, 9].map(|n| seconds(&constant, n)), [5, 5, 5]);
        let linear = policy(Backoff::Linear);
        assert_eq!([1, 2, 9].map(|n| seconds(&linear, n)), [5, 10, 45]);
        let exponential = policy(Backoff::Exponential);
        assert_eq!([1, 2, 3, 4, 40].map(|n| seconds(&exponential, n)), [5, 10, 20, 40, 600]);
    }

    #[test]
    fn full_jitter_spreads_from_nothing_to_the_delay() {
        let policy = RetryPolicy { jitter: Jitter::Full, ..policy(Backoff::Constant) };
        assert_eq!(policy.delay_after(1, 0.0), Some(Duration::ZERO));
        assert_eq!(policy.delay_after(1, 0.5), Some(Duration::from_millis(2500)));
    }

    #[test]
    fn max_attempts_includes_the_first() {
        assert_eq!(RetryPolicy::never().delay_after(1, 0.5), None);
        let twice = RetryPolicy { max_attempts: 2, ..policy(Backoff::Constant) };
        assert!(twice.delay_after(1, 0.5).is_some());
        assert_eq!(twice.delay_after(2, 0.5), None);
    }
}
