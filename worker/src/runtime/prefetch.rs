//! How many deliveries a consumer may have unacknowledged. Pure.
//!
//! As many as there are slots: then each has one, and nothing waits here that another worker could run. Two exceptions.
//! Where queues share the slots, one may get fewer than that, and its consumer takes less. And where tasks are so short
//! that most deliveries are not running but on their way to the ledger or the broker, slots would lie idle: there it
//! takes more, for as long as they are that short.

/// A part of the slots, by which a smaller prefetch grows with every look.
const STEP: u32 = 8;
/// How many times the slots a prefetch may be.
const MAX_AHEAD: u32 = 4;
/// The most that one consumer takes.
const MAX: u32 = 4000;

/// What a consumer has after a look. `received` is how many deliveries came since the last one; `room` is whether its
/// line is empty and more of them would get slots.
pub(super) fn after_look(prefetch: u32, slots: u32, received: u32, room: bool) -> u32 {
    if prefetch < slots && room {
        return (prefetch + slots.div_ceil(STEP)).min(slots);
    }
    if prefetch >= slots && room && received / 2 >= prefetch {
        // Every delivery was done and replaced twice over, and there still were slots for more.
        return (prefetch * 2).min(slots * MAX_AHEAD).min(MAX).max(slots);
    }
    if prefetch > slots && received < prefetch {
        return slots;
    }
    prefetch
}

/// What a consumer comes back with after its deliveries waited in vain.
pub(super) fn after_crowding(prefetch: u32, slots: u32) -> u32 {
    (prefetch / 2).clamp(1, slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_at_the_slots_for_tasks_that_take_their_time() {
        assert_eq!(after_look(100, 100, 0, true), 100);
        assert_eq!(after_look(100, 100, 199, true), 100);
        assert_eq!(after_look(100, 100, 1000, false), 100);
    }

    #[test]
    fn it_grows_for_short_tasks_up_to_a_bound_and_falls_back_when_they_are_gone() {
        assert_eq!(after_look(100, 100, 200, true), 200);
        assert_eq!(after_look(400, 100, 100_000, true), 400);
        assert_eq!(after_look(200, 100, 200, true), 200, "as quick as when it grew");
        assert_eq!(after_look(200, 100, 199, true), 100);
        assert_eq!(after_look(200, 100, 0, false), 100);
        assert_eq!(after_look(3000, 3000, 100_000, true), 4000);
        assert_eq!(after_look(5000, 5000, 100_000, true), 5000);
    }

    #[test]
    fn after_crowding_it_starts_small_and_recovers() {
        assert_eq!(after_crowding(400, 100), 100);
        assert_eq!(after_crowding(100, 100), 50);
        assert_eq!(after_crowding(1, 100), 1);
        let mut prefetch = 1;
        for _ in 0..8 {
            prefetch = after_look(prefetch, 100, 0, true);
        }
        assert_eq!(prefetch, 100);
    }
}
