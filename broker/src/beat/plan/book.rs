//! The schedules that this beat plans, each with the instant at which to look at it next. Pure: is told the time.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use upbeat_schedule::Timetable;
use upbeat_shared::clock;
use upbeat_shared::name::ScheduleId;
use upbeat_shared::occurrence::ScheduleRecord;

use super::step::is_from_the_future;

/// A paused schedule's passing instants are recorded so often, at most.
const PAUSED_LOOK: Duration = Duration::from_secs(60);

/// The first wait after a schedule could not be planned, and what it grows to.
const SETBACK: Duration = Duration::from_millis(100);
const LONGEST_SETBACK: Duration = Duration::from_secs(60);

/// The schedules that this beat plans, ordered by when to look at them.
#[derive(Debug, Default)]
pub(super) struct Book {
    schedules: HashMap<ScheduleId, Page>,
    upcoming: BTreeSet<(Timestamp, ScheduleId)>,
}

/// One schedule.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) record: ScheduleRecord,
    /// `None` when the definition does not compile: it waits for a person to change it.
    pub(super) timetable: Option<Timetable>,
    /// How often in a row planning it failed.
    setbacks: u32,
    look_at: Option<Timestamp>,
}

impl Book {
    /// Holds exactly these from now on; keeps what is known of those that have not changed.
    pub(super) fn load(&mut self, records: impl Iterator<Item = ScheduleRecord>, now: Timestamp) {
        let mut old = std::mem::take(&mut self.schedules);
        self.upcoming.clear();
        for record in records {
            let known = old.remove(&record.id);
            self.insert(record, known, now);
        }
    }

    /// Holds this record in the place of the one before.
    pub(super) fn refresh(&mut self, record: ScheduleRecord, now: Timestamp) {
        let known = self.remove(&record.id);
        self.insert(record, known, now);
    }

    /// Forgets a schedule.
    pub(super) fn remove(&mut self, id: &ScheduleId) -> Option<Page> {
        let page = self.schedules.remove(id)?;
        if let Some(at) = page.look_at {
            self.upcoming.remove(&(at, id.clone()));
        }
        Some(page)
    }

    /// Those to look at by now, at most `limit`, the longest due first.
    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<ScheduleId> {
        let due = self.upcoming.iter().take_while(|(at, _)| *at <= now).take(limit);
        due.map(|(_, id)| id.clone()).collect()
    }

    /// When the next look is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.upcoming.first().map(|(at, _)| *at)
    }

    pub(super) fn get(&self, id: &ScheduleId) -> Option<&Page> {
        self.schedules.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.schedules.len()
    }

    /// Looks at a schedule next at this instant; `None` for never, until it changes.
    pub(super) fn look(&mut self, id: &ScheduleId, at: Option<Timestamp>) {
        let Some(page) = self.schedules.get_mut(id) else { return };
        if let Some(before) = page.look_at.take() {
            self.upcoming.remove(&(before, id.clone()));
        }
        page.look_at = at;
        if let Some(at) = at {
            self.upcoming.insert((at, id.clone()));
        }
    }

    /// Its cursor moved. What is left to decide goes behind everything that is due already, so that one schedule's
    /// long catching up does not make the others late.
    pub(super) fn advanced(
        &mut self,
        id: &ScheduleId,
        cursor: Timestamp,
        next: Option<Timestamp>,
        complete: bool,
        now: Timestamp,
    ) {
        let Some(page) = self.schedules.get_mut(id) else { return };
        page.record.cursor = cursor;
        page.setbacks = 0;
        let paused = page.record.definition.paused;
        let at = match next {
            Some(_) if !complete => Some(now),
            Some(next) if paused => Some(next.max(clock::later(now, PAUSED_LOOK))),
            next => next,
        };
        self.look(id, at);
    }

    /// Planning it failed: looks again after a wait that grows. Answers how often in a row this was.
    pub(super) fn set_back(&mut self, id: &ScheduleId, now: Timestamp) -> u32 {
        let Some(page) = self.schedules.get_mut(id) else { return 0 };
        page.setbacks = page.setbacks.saturating_add(1);
        let setbacks = page.setbacks;
        self.look(id, Some(clock::later(now, setback(setbacks))));
        setbacks
    }

    fn insert(&mut self, record: ScheduleRecord, known: Option<Page>, now: Timestamp) {
        let id = record.id.clone();
        let same = |page: &Page| {
            (page.record.incarnation, page.record.revision) == (record.incarnation, record.revision)
        };
        let (timetable, setbacks, look_at) = match known.filter(same) {
            Some(page) => (page.timetable, page.setbacks, page.look_at),
            None => (compile(&record), 0, None),
        };
        let at = timetable.as_ref().and_then(|timetable| {
            if is_from_the_future(record.cursor, now) {
                return Some(now);
            }
            // A day off is an instant to decide about, too: it is skipped, and told so.
            let next = timetable.next_planned(record.cursor)?.at;
            // One that was set back, or is paused, waits as long as it was told to.
            let waits = setbacks > 0 || record.definition.paused;
            Some(look_at.filter(|_| waits).map_or(next, |at| at.max(next)))
        });
        self.schedules.insert(id.clone(), Page { record, timetable, setbacks, look_at: None });
        self.look(&id, at);
    }
}

fn compile(record: &ScheduleRecord) -> Option<Timetable> {
    match record.definition.timing.compile() {
        Ok(timetable) => Some(timetable),
        Err(error) => {
            tracing::error!(
                schedule = %record.id, revision = record.revision, source = record.source, %error,
                "this schedule cannot be understood and does not fire until it is changed"
            );
            None
        }
    }
}

/// The first setback is waited out at once: somebody else was there first, and the schedule was read again.
fn setback(setbacks: u32) -> Duration {
    match setbacks {
        0 | 1 => Duration::ZERO,
        more => {
            let factor = 1_u32.checked_shl(more - 2).unwrap_or(u32::MAX);
            SETBACK.saturating_mul(factor).min(LONGEST_SETBACK)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beat::testing::{at, schedule};

    const NOON: &str = "2026-05-01T12:00:00Z";

    fn book(records: Vec<ScheduleRecord>) -> Book {
        let mut book = Book::default();
        book.load(records.into_iter(), at(NOON));
        book
    }

    fn named(id: &str, every: &str) -> ScheduleRecord {
        ScheduleRecord { id: ScheduleId::new(id).unwrap(), ..schedule("every", every, NOON) }
    }

    fn ids(due: &[ScheduleId]) -> Vec<&str> {
        due.iter().map(ScheduleId::as_str).collect()
    }

    #[test]
    fn schedules_are_due_in_the_order_of_their_next_instants() {
        let book = book(vec![named("b", "20s"), named("a", "30s"), named("c", "10s")]);
        assert_eq!(book.next(), Some(at("2026-05-01T12:00:10Z")));
        assert_eq!(ids(&book.due(at("2026-05-01T12:00:09Z"), 10)), [] as [&str; 0]);
        assert_eq!(ids(&book.due(at("2026-05-01T12:00:30Z"), 10)), ["c", "b", "a"]);
        assert_eq!(ids(&book.due(at("2026-05-01T12:00:30Z"), 2)), ["c", "b"]);
    }

    #[test]
    fn one_that_does_not_compile_is_left_alone_and_does_not_stop_others() {
        let mut bad = named("bad", "10s");
        bad.definition.timing.cron = Some("* * *".into());
        let book = book(vec![bad, named("good", "10s")]);
        assert_eq!(book.len(), 2);
        assert_eq!(ids(&book.due(at("2026-05-01T13:00:00Z"), 10)), ["good"]);
    }

    #[test]
    fn long_catching_up_goes_behind_what_is_due() {
        let mut book = book(vec![named("a", "1s"), named("b", "10s")]);
        let now = at("2026-05-01T12:01:00Z");
        let id = ScheduleId::new("a").unwrap();
        book.advanced(&id, at("2026-05-01T12:00:05Z"), Some(at("2026-05-01T12:00:06Z")), false, now);
        assert_eq!(ids(&book.due(now, 10)), ["b", "a"]);
    }

    #[test]
    fn a_paused_schedule_is_looked_at_once_a_minute() {
        let mut paused = named("a", "1s");
        paused.definition.paused = true;
        let mut book = book(vec![paused.clone()]);
        let now = at("2026-05-01T12:00:01Z");
        book.advanced(&paused.id, now, Some(at("2026-05-01T12:00:02Z")), true, now);
        assert_eq!(book.next(), Some(at("2026-05-01T12:01:01Z")));
        // A reload because of some other schedule does not change that.
        book.load(vec![ScheduleRecord { cursor: now, ..paused }].into_iter(), now);
        assert_eq!(book.next(), Some(at("2026-05-01T12:01:01Z")));
    }

    #[test]
    fn setbacks_grow_up_to_a_minute_and_end_with_success() {
        let mut book = book(vec![named("a", "1s")]);
        let id = ScheduleId::new("a").unwrap();
        let now = at(NOON);
        let mut waits = Vec::new();
        for _ in 0..20 {
            book.set_back(&id, now);
            waits.push(clock::until(now, book.next().unwrap()).as_millis());
        }
        assert_eq!(waits[..4], [0, 100, 200, 400]);
        assert_eq!(waits[19], 60_000);
        book.advanced(&id, now, Some(now), true, now);
        assert_eq!(book.set_back(&id, now), 1);
    }

    #[test]
    fn a_changed_schedule_takes_the_place_of_the_old_one() {
        let mut book = book(vec![named("a", "10s")]);
        book.refresh(ScheduleRecord { revision: 99, ..named("a", "5s") }, at(NOON));
        assert_eq!(book.next(), Some(at("2026-05-01T12:00:05Z")));
        assert_eq!(book.due(at("2026-05-01T13:00:00Z"), 10).len(), 1);
        book.load(std::iter::empty(), at(NOON));
        assert_eq!((book.len(), book.next()), (0, None));
    }

    #[test]
    fn a_cursor_from_the_future_is_looked_at_at_once() {
        let ahead = ScheduleRecord { cursor: at("2026-05-01T14:00:00Z"), ..named("a", "10s") };
        assert_eq!(book(vec![ahead]).next(), Some(at(NOON)));
    }
}
