//! Plans a rule that is about to be replaced up to now, so that the new one has no part in what was before it.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_schedule::Timetable;
use upbeat_shared::clock::StoreClock;
use upbeat_shared::ledger::{Advance, AdvanceAnswer, LedgerError, Store};
use upbeat_shared::name::Namespace;
use upbeat_shared::occurrence::ScheduleRecord;

use super::super::BeatError;
use super::super::context::{sample, within};
use super::batch::KEY_LOCKED;
use super::step::{advance, step};

/// How long one call of the ledger may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often in a row somebody else may be there first.
const TRIES: u32 = 20;

/// Instants that are planned in one call.
const BATCH: usize = 200;

/// Plans a schedule's rule up to now. Answers the schedule as it is then, whoever changed it meanwhile; `None` if it is
/// gone.
pub(in crate::beat) async fn settle(
    store: &Store,
    clock: &StoreClock,
    namespace: &Namespace,
    schedule: &ScheduleRecord,
) -> Result<Option<ScheduleRecord>, BeatError> {
    // A rule that cannot be understood has no instants to account for.
    let Ok(timetable) = schedule.definition.timing.compile() else { return Ok(Some(schedule.clone())) };
    let mut record = schedule.clone();
    let mut now = match clock.now() {
        Some(now) => now,
        None => sample(store, clock, TIMEOUT).await?,
    };
    let mut tries = 0;
    while let Some((next, complete)) = next(namespace, &record, &timetable, now) {
        let to = next.to;
        let answers = within(clock, TIMEOUT, "advance", store.catalog.advance(vec![next])).await?;
        match answers.first() {
            Some(AdvanceAnswer::Advanced(_)) => {
                record.cursor = to;
                tries = 0;
                if complete {
                    break;
                }
            }
            // This member's idea of the store's time is ahead.
            Some(AdvanceAnswer::Early(store)) => now = *store,
            Some(AdvanceAnswer::KeyLocked) if tries == TRIES => {
                return Err(LedgerError::Unavailable(format!(
                    "the unique key of the schedule {} is locked by a transaction that somebody keeps open",
                    record.id
                ))
                .into());
            }
            Some(AdvanceAnswer::KeyLocked) => tokio::time::sleep(KEY_LOCKED).await,
            Some(AdvanceAnswer::Conflict) | None => {
                let read =
                    within(clock, TIMEOUT, "get", store.catalog.get(vec![record.id.clone()])).await?.pop();
                let Some(read) = read else { return Ok(None) };
                if (read.incarnation, read.revision) != (record.incarnation, record.revision) {
                    return Ok(Some(read));
                }
                record = read;
            }
        }
        tries += 1;
        if tries > TRIES {
            return Err(BeatError::Conflict(record.id));
        }
    }
    Ok(Some(record))
}

/// The next advance, and whether it is the last one; `None` if everything is decided already.
fn next(
    namespace: &Namespace,
    record: &ScheduleRecord,
    timetable: &Timetable,
    now: Timestamp,
) -> Option<(Advance, bool)> {
    let step = step(namespace, record, timetable, now, BATCH);
    let mut next = match step.advance {
        Some(next) => next,
        None if record.cursor >= now => return None,
        None => advance(record, now),
    };
    if step.complete {
        next.to = next.to.max(now);
    }
    Some((next, step.complete))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beat::testing::{at, schedule};

    fn next_of(record: &ScheduleRecord, now: &str) -> Option<(Advance, bool)> {
        next(&Namespace::default(), record, &record.definition.timing.compile().unwrap(), at(now))
    }

    #[test]
    fn an_old_rule_is_planned_up_to_now_and_not_only_to_its_last_instant() {
        let record = schedule("every", "10s", "2026-05-01T00:00:00Z");
        let (next, complete) = next_of(&record, "2026-05-01T00:00:25Z").unwrap();
        assert_eq!((next.fire.len(), next.to, complete), (2, at("2026-05-01T00:00:25Z"), true));
    }

    #[test]
    fn a_rule_without_instants_in_between_still_takes_its_cursor_to_now() {
        let record = schedule("at", "2030-01-01T00:00:00Z", "2026-05-01T00:00:00Z");
        let (next, complete) = next_of(&record, "2026-06-01T00:00:00Z").unwrap();
        assert_eq!((next.fire.len(), next.to, complete), (0, at("2026-06-01T00:00:00Z"), true));
    }

    #[test]
    fn a_cursor_that_is_at_now_or_a_little_ahead_stays() {
        let record = schedule("every", "10s", "2026-05-01T00:00:00Z");
        assert_eq!(next_of(&record, "2026-05-01T00:00:00Z"), None);
        assert_eq!(next_of(&record, "2026-04-30T23:59:00Z"), None);
    }
}
