//! How long entries wait that could not be published. Pure: is told the time.

use std::collections::HashMap;
use std::time::Duration;

use upbeat_shared::name::QueueName;

/// The first wait of a queue that refuses, and what it grows to.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// The first look again at an entry that nobody claimed, and what the time between looks grows to.
const FIRST_LOOK: Duration = Duration::from_secs(60);
const LONGEST_LOOK: Duration = Duration::from_secs(3600);

/// Queues that refuse, and until when nothing is tried on them.
#[derive(Debug, Default)]
pub(super) struct Patience {
    queues: HashMap<QueueName, Refusals>,
}

#[derive(Clone, Copy, Debug)]
struct Refusals {
    count: u32,
    until: Duration,
}

impl Patience {
    /// How long this queue is still left alone, if it refused lately.
    pub(super) fn left(&self, queue: &QueueName, now: Duration) -> Option<Duration> {
        let left = self.queues.get(queue)?.until.saturating_sub(now);
        (!left.is_zero()).then_some(left)
    }

    /// It refused. Answers how long to leave it alone, and whether it had not refused before.
    pub(super) fn refused(&mut self, queue: &QueueName, now: Duration) -> (Duration, bool) {
        let count = self.queues.get(queue).map_or(0, |refusals| refusals.count).saturating_add(1);
        let wait = FIRST.saturating_mul(1_u32.checked_shl(count - 1).unwrap_or(u32::MAX)).min(LONGEST);
        self.queues.insert(queue.clone(), Refusals { count, until: now + wait });
        (wait, count == 1)
    }

    /// It took something; answers whether it had refused before.
    pub(super) fn took(&mut self, queue: &QueueName) -> bool {
        self.queues.remove(queue).is_some()
    }
}

/// When to look again at an entry that nobody claimed, after so many looks.
pub(super) fn next_look(looks: u32) -> Duration {
    FIRST_LOOK.saturating_mul(1_u32.checked_shl(looks).unwrap_or(u32::MAX)).min(LONGEST_LOOK)
}

/// Spreads a wait by up to a fifth, so that entries which wait together do not come back in one moment.
pub(super) fn spread(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(random.clamp(0.0, 1.0).mul_add(0.2, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_queue_that_refuses_waits_longer_each_time_up_to_a_minute() {
        let mut patience = Patience::default();
        let queue = QueueName::default_queue();
        let waits: Vec<u64> = (0..8).map(|_| patience.refused(&queue, seconds(0)).0.as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_queue_is_left_alone_until_its_wait_is_over_and_others_never() {
        let mut patience = Patience::default();
        let queue = QueueName::default_queue();
        assert_eq!(patience.refused(&queue, seconds(10)), (seconds(2), true));
        assert_eq!(patience.left(&queue, seconds(11)), Some(seconds(1)));
        assert_eq!(patience.left(&queue, seconds(12)), None);
        assert_eq!(patience.left(&QueueName::new("other").unwrap(), seconds(11)), None);
        assert_eq!(patience.refused(&queue, seconds(12)), (seconds(4), false));
    }

    #[test]
    fn a_queue_that_takes_again_starts_anew() {
        let mut patience = Patience::default();
        let queue = QueueName::default_queue();
        assert!(!patience.took(&queue));
        patience.refused(&queue, seconds(0));
        assert!(patience.took(&queue));
        assert_eq!(patience.refused(&queue, seconds(9)), (seconds(2), true));
    }

    #[test]
    fn looks_at_an_unclaimed_entry_double_from_a_minute_to_an_hour() {
        assert_eq!(
            [0, 1, 2, 5, 6, 99].map(|looks| next_look(looks).as_secs()),
            [60, 120, 240, 1920, 3600, 3600]
        );
    }

    #[test]
    fn a_spread_wait_is_never_shorter() {
        assert_eq!(spread(seconds(10), 0.0), seconds(10));
        assert_eq!(spread(seconds(10), 1.0), seconds(12));
    }
}
