//! Judges who is lost. Pure: is told the time and what the store said, and never looks for itself.
//!
//! A member is lost when its counter stood still through an unbroken series of this beat's own committed heartbeats that
//! spans a lease. The beat's commits prove that the store could be written all that time: the silence was the member's
//! own. Whatever breaks the series (a heartbeat that failed, or came late because this process was stopped) starts
//! every count anew.

use std::collections::HashMap;
use std::time::Duration;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::Lost;
use upbeat_shared::member::Pulse;

/// Counts for how long each member's heartbeat has stood still.
#[derive(Debug)]
pub(super) struct Judge {
    lease: Duration,
    /// When the newest heartbeat of the series was sent; `None` when the series is broken.
    last: Option<Duration>,
    watched: HashMap<OwnerId, Still>,
}

/// A counter, and since when this beat knows that it stands there.
#[derive(Clone, Copy, Debug)]
struct Still {
    counter: u64,
    since: Duration,
}

impl Judge {
    /// Judges nobody by a shorter time than this.
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, last: None, watched: HashMap::new() }
    }

    /// One of the beat's own heartbeats was committed, between these two instants of its monotonic clock, and saw these
    /// pulses. Answers who is lost, again each time until they are gone.
    pub(super) fn committed(&mut self, sent: Duration, answered: Duration, pulses: &[Pulse]) -> Vec<Lost> {
        // From the oldest instant at which the last one can have been committed to the newest for this one.
        let unbroken = self.last.is_some_and(|last| answered.saturating_sub(last) <= self.lease / 3);
        if !unbroken {
            self.watched.clear();
        }
        self.last = Some(sent);
        let watched = &mut self.watched;
        let mut seen = HashMap::with_capacity(pulses.len());
        let mut lost = Vec::new();
        for pulse in pulses {
            let still = match watched.remove(&pulse.owner) {
                Some(still) if still.counter == pulse.counter => still,
                // Seen at the end of this round trip at the latest.
                Some(_) | None => Still { counter: pulse.counter, since: answered },
            };
            seen.insert(pulse.owner, still);
            // Seen again at the beginning of this round trip at the earliest.
            if sent.saturating_sub(still.since) >= self.lease.max(pulse.lease) {
                lost.push(Lost { owner: pulse.owner, counter: pulse.counter });
            }
        }
        self.watched = seen;
        lost
    }

    /// A heartbeat failed or may have failed: nothing is known of the time since the last one.
    pub(super) fn failed(&mut self) {
        self.last = None;
        self.watched.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::member::Role;

    const LEASE: Duration = Duration::from_secs(15);

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn member(counter: u64) -> Pulse {
        let owner = OwnerId(uuid_of(7));
        Pulse { owner, role: Role::Worker, counter, lease: LEASE }
    }

    fn uuid_of(number: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(number)
    }

    /// A judge that heartbeats every second from `from` until and including `until`, and always sees these pulses;
    /// answers at which seconds it found somebody lost.
    fn watch(judge: &mut Judge, from: u32, until: u32, pulses: &[Pulse]) -> Vec<u32> {
        let lost_at = |second: u32| {
            let sent = Duration::from_secs(u64::from(second));
            !judge.committed(sent, sent + Duration::from_millis(10), pulses).is_empty()
        };
        let mut lost_at = lost_at;
        (from..=until).filter(|second| lost_at(*second)).collect()
    }

    #[test]
    fn a_member_that_stands_still_for_a_lease_is_lost_and_not_before() {
        let mut judge = Judge::new(LEASE);
        // First seen at 0.01 s; the 15 s are full with the heartbeat sent at 16 s.
        assert_eq!(watch(&mut judge, 0, 15, &[member(1)]), [] as [u32; 0]);
        let lost = judge.committed(seconds(16.0), seconds(16.01), &[member(1)]);
        assert_eq!(lost, [Lost { owner: member(1).owner, counter: 1 }]);
    }

    #[test]
    fn it_stays_lost_until_it_is_reaped_and_then_is_forgotten() {
        let mut judge = Judge::new(LEASE);
        assert_eq!(watch(&mut judge, 0, 18, &[member(1)]), [16, 17, 18]);
        assert_eq!(watch(&mut judge, 19, 19, &[]), [] as [u32; 0]);
        // Should it be there again, its count starts anew.
        assert_eq!(watch(&mut judge, 20, 35, &[member(1)]), [] as [u32; 0]);
    }

    #[test]
    fn every_movement_of_the_counter_starts_its_count_anew() {
        let mut judge = Judge::new(LEASE);
        assert_eq!(watch(&mut judge, 0, 14, &[member(1)]), [] as [u32; 0]);
        assert_eq!(watch(&mut judge, 15, 30, &[member(2)]), [] as [u32; 0]);
        assert_eq!(watch(&mut judge, 31, 31, &[member(2)]), [31]);
    }

    #[test]
    fn a_counter_that_went_back_is_a_movement_too() {
        let mut judge = Judge::new(LEASE);
        assert_eq!(watch(&mut judge, 0, 14, &[member(9)]), [] as [u32; 0]);
        assert_eq!(watch(&mut judge, 15, 30, &[member(3)]), [] as [u32; 0]);
    }

    #[test]
    fn a_failed_heartbeat_starts_every_count_anew() {
        let mut judge = Judge::new(LEASE);
        assert_eq!(watch(&mut judge, 0, 15, &[member(1)]), [] as [u32; 0]);
        judge.failed();
        assert_eq!(watch(&mut judge, 17, 32, &[member(1)]), [] as [u32; 0]);
        assert_eq!(watch(&mut judge, 33, 33, &[member(1)]), [33]);
    }

    #[test]
    fn a_store_outage_makes_nobody_lost_however_long_it_was() {
        let mut judge = Judge::new(LEASE);
        watch(&mut judge, 0, 5, &[member(1)]);
        judge.failed();
        // An hour later the store is back, and the members have not written to it yet.
        assert_eq!(watch(&mut judge, 3605, 3620, &[member(1)]), [] as [u32; 0]);
    }

    #[test]
    fn a_beat_that_was_stopped_judges_nobody_on_waking() {
        let mut judge = Judge::new(LEASE);
        watch(&mut judge, 0, 10, &[member(1)]);
        // Stopped between two heartbeats for ten minutes; nothing failed.
        assert_eq!(watch(&mut judge, 610, 625, &[member(1)]), [] as [u32; 0]);
        assert_eq!(watch(&mut judge, 626, 626, &[member(1)]), [626]);
    }

    #[test]
    fn a_beat_that_was_stopped_inside_a_heartbeat_judges_nobody_on_waking() {
        let mut judge = Judge::new(LEASE);
        watch(&mut judge, 0, 14, &[member(1)]);
        // Sent in time, answered ten minutes later: nobody knows when it was committed.
        assert_eq!(judge.committed(seconds(15.0), seconds(615.0), &[member(1)]), []);
        // The next one does not know either how long it took the last one.
        assert_eq!(judge.committed(seconds(616.0), seconds(616.0), &[member(1)]), []);
        assert_eq!(watch(&mut judge, 617, 631, &[member(1)]), [631]);
    }

    #[test]
    fn heartbeats_up_to_a_third_of_a_lease_apart_are_unbroken() {
        let mut judge = Judge::new(LEASE);
        for step in 0..3 {
            let sent = seconds(5.0 * f64::from(step));
            assert_eq!(judge.committed(sent, sent, &[member(1)]), []);
        }
        assert_eq!(judge.committed(seconds(15.0), seconds(15.0), &[member(1)]).len(), 1);
    }

    #[test]
    fn heartbeats_further_apart_than_a_third_of_a_lease_judge_nobody_ever() {
        let mut judge = Judge::new(LEASE);
        for step in 0..100 {
            let sent = seconds(5.1 * f64::from(step));
            assert_eq!(judge.committed(sent, sent, &[member(1)]), []);
        }
    }

    #[test]
    fn a_member_is_judged_by_its_own_lease_when_that_is_longer() {
        let mut judge = Judge::new(LEASE);
        let slow = Pulse { lease: seconds(60.0), ..member(1) };
        assert_eq!(watch(&mut judge, 0, 60, &[slow]), [] as [u32; 0]);
        assert_eq!(watch(&mut judge, 61, 61, &[slow]), [61]);
    }

    #[test]
    fn a_member_is_judged_by_the_beats_lease_when_its_own_is_shorter() {
        let mut judge = Judge::new(LEASE);
        let hasty = Pulse { lease: seconds(1.0), ..member(1) };
        assert_eq!(watch(&mut judge, 0, 15, &[hasty]), [] as [u32; 0]);
    }

    #[test]
    fn a_member_that_joins_late_has_a_whole_lease() {
        let mut judge = Judge::new(LEASE);
        watch(&mut judge, 0, 100, &[]);
        assert_eq!(watch(&mut judge, 101, 116, &[member(1)]), [] as [u32; 0]);
        assert_eq!(watch(&mut judge, 117, 117, &[member(1)]), [117]);
    }

    #[test]
    fn one_that_moves_does_not_save_one_that_stands_still() {
        let mut judge = Judge::new(LEASE);
        let other = OwnerId(uuid_of(8));
        for second in 0..=16_u32 {
            let moving = Pulse { owner: other, counter: u64::from(second), ..member(0) };
            let sent = Duration::from_secs(u64::from(second));
            let lost = judge.committed(sent, sent, &[member(1), moving]);
            let expected = if second >= 15 { vec![member(1).owner] } else { vec![] };
            assert_eq!(lost.iter().map(|lost| lost.owner).collect::<Vec<_>>(), expected, "at {second} s");
        }
    }

    #[test]
    fn the_time_that_round_trips_take_is_never_counted_against_a_member() {
        let mut judge = Judge::new(LEASE);
        // Each takes two seconds: from the first answer at 2 s to the sending at 16 s are only 14 s.
        for second in (0..=16).step_by(2) {
            let sent = seconds(f64::from(second));
            assert_eq!(judge.committed(sent, sent + seconds(2.0), &[member(1)]), []);
        }
        assert_eq!(judge.committed(seconds(18.0), seconds(20.0), &[member(1)]).len(), 1);
    }
}
