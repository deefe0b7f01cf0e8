//! How long to wait before trying again what failed.

use std::time::Duration;

/// The wait after the first failure, at most.
const FIRST: Duration = Duration::from_millis(100);
/// Doublings after which the wait grows no more.
const MAX_DOUBLINGS: u32 = 6;

/// Between half and all of 100 ms, doubled with every failure up to 6.4 s. Spread, so that workers that lost the same
/// broker do not come back together.
pub(crate) fn after(failures: u32) -> Duration {
    let longest = FIRST * 2_u32.pow(failures.saturating_sub(1).min(MAX_DOUBLINGS));
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_are_never_nothing() {
        for failures in [0, 1, 2, 7, u32::MAX] {
            let wait = after(failures);
            assert!(wait >= FIRST / 2 && wait <= Duration::from_millis(6400), "{failures}: {wait:?}");
        }
        assert!(after(7) > after(1));
    }
}
