//! The delay that spreads schedules which are planned for the same moment.
//! Never random: every beat computes the same delay for the same occurrence.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// A delay within `[0, window)`, spread evenly over schedules and occurrences.
pub(crate) fn jitter(window: SignedDuration, schedule_id: &str, planned: Timestamp) -> SignedDuration {
    let Ok(window) = u64::try_from(window.as_micros()) else {
        return SignedDuration::ZERO;
    };
    let digest = Sha256::new()
        .chain_update((schedule_id.len() as u64).to_be_bytes())
        .chain_update(schedule_id)
        .chain_update(planned.as_microsecond().to_be_bytes())
        .finalize();
    let hash = digest.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    // Multiply and shift instead of a remainder: no part of the window is likelier than another.
    let micros = (u128::from(hash) * u128::from(window)) >> 64;
    SignedDuration::from_micros(i64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: SignedDuration = SignedDuration::from_secs(60);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).expect("in range")
    }

    #[test]
    fn the_same_occurrence_has_the_same_delay_for_ever() {
        // Pinned: another version of the program must agree while both are running.
        assert_eq!(jitter(WINDOW, "report", at(1_767_225_600)), SignedDuration::from_micros(52_360_462));
    }

    #[test]
    fn delays_stay_in_the_window_and_fill_it() {
        let delays: Vec<i128> = (0..1000).map(|n| jitter(WINDOW, "report", at(n * 60)).as_micros()).collect();
        assert!(delays.iter().all(|delay| (0..60_000_000).contains(delay)));
        for tenth in 0..10 {
            let inside = delays.iter().filter(|delay| **delay / 6_000_000 == tenth).count();
            assert!((60..140).contains(&inside), "{inside} of 1000 in tenth {tenth}");
        }
    }

    #[test]
    fn schedules_of_one_moment_are_spread() {
        assert_ne!(jitter(WINDOW, "a", at(0)), jitter(WINDOW, "b", at(0)));
    }

    #[test]
    fn no_window_is_no_delay() {
        assert_eq!(jitter(SignedDuration::ZERO, "a", at(0)), SignedDuration::ZERO);
        assert_eq!(jitter(SignedDuration::MAX, "a", at(0)), SignedDuration::ZERO);
    }
}
