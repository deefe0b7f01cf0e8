//! How values are kept, alike in every ledger that keeps rows.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::of_micros;
#[cfg(any(feature = "embedded", feature = "memory", feature = "postgres"))]
use crate::ledger::Due;

#[cfg(any(feature = "embedded", feature = "postgres", feature = "redis"))]
use crate::task::TaskState;

/// States as they are kept; schemas name these numbers in functions and indexes, and never change them.
#[cfg(any(feature = "embedded", feature = "postgres", feature = "redis"))]
pub(super) fn state_number(state: TaskState) -> i16 {
    match state {
        TaskState::Scheduled => 0,
        TaskState::Queued => 1,
        TaskState::Running => 2,
        TaskState::Held => 3,
        TaskState::Succeeded => 4,
        TaskState::Dead => 5,
        TaskState::Cancelled => 6,
        TaskState::Expired => 7,
    }
}

/// The other way round; `Err` says what is wrong.
#[cfg(any(feature = "embedded", feature = "postgres", feature = "redis"))]
pub(super) fn state_of(number: i64) -> Result<TaskState, String> {
    let found = TaskState::ALL.into_iter().find(|state| i64::from(state_number(*state)) == number);
    found.ok_or_else(|| format!("the ledger holds a state {number} that is unknown"))
}

/// In microseconds. Far below the largest number, so that it can be added to any time.
pub(super) fn duration_micros(duration: Duration) -> i64 {
    const LONGEST: i64 = i64::MAX / 4;
    i64::try_from(duration.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}

/// When something is due that is told `now`, both in microseconds.
#[cfg(any(feature = "embedded", feature = "memory", feature = "postgres"))]
pub(super) fn due_at(due: Due, now: i64) -> i64 {
    match due {
        Due::At(at) => at.as_microsecond(),
        Due::In(delay) => now.saturating_add(duration_micros(delay)),
    }
}

/// Of microseconds since 1970.
pub(super) fn instant(micros: i64) -> Timestamp {
    of_micros(micros)
}
