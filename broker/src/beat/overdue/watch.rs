//! Which occurrence of each schedule is looked at when. Pure: is told the time, and looks at nothing itself.
//!
//! One occurrence of a schedule is watched at a time: the next one is taken when this one was judged. So there are never
//! more watches than schedules, however often these fire.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;
use upbeat_shared::id::TaskId;
use upbeat_shared::name::ScheduleId;

/// One occurrence that is looked at when its time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::beat) struct Watch {
    pub(in crate::beat) schedule: ScheduleId,
    pub(in crate::beat) id: TaskId,
    /// The rule's instant.
    pub(in crate::beat) planned_at: Timestamp,
    /// The same with its jitter.
    pub(in crate::beat) due_at: Timestamp,
    /// When it is looked at.
    pub(in crate::beat) judge_at: Timestamp,
    /// Whether there is such an occurrence is not known: it was derived from a cursor.
    pub(in crate::beat) supposed: bool,
}

/// An overdue occurrence that was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) id: TaskId,
    pub(super) at: Timestamp,
}

/// The watches of the schedules that this beat plans: filled by the planner, worked off by the loop beside it.
#[derive(Debug, Default)]
pub(in crate::beat) struct Watches {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    pages: HashMap<ScheduleId, Page>,
    upcoming: BTreeSet<(Timestamp, ScheduleId)>,
}

/// Of one schedule. Gone when both are.
#[derive(Debug, Default)]
struct Page {
    watch: Option<Watch>,
    told: Option<Told>,
}

impl Watches {
    /// Watches an occurrence, unless another one of its schedule is watched already. One that is only supposed makes way for
    /// one that there is.
    pub(in crate::beat) fn add(&self, watch: Watch) {
        let mut book = self.book();
        let place = (watch.judge_at, watch.schedule.clone());
        let page = book.pages.entry(watch.schedule.clone()).or_default();
        let pending = match &page.watch {
            Some(pending) if pending.supposed && !watch.supposed => Some(pending.judge_at),
            Some(_) => return,
            None => None,
        };
        page.watch = Some(watch);
        if let Some(pending) = pending {
            book.upcoming.remove(&(pending, place.1.clone()));
        }
        book.upcoming.insert(place);
    }

    /// Keeps to these schedules: the others are no longer this beat's, or no longer there.
    pub(in crate::beat) fn keep(&self, is_mine: impl Fn(&ScheduleId) -> bool) {
        let mut book = self.book();
        book.pages.retain(|id, _| is_mine(id));
        book.upcoming.retain(|(_, id)| is_mine(id));
    }

    /// When one is to be looked at next.
    #[cfg(feature = "testing")]
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.book().upcoming.first().map(|(at, _)| *at)
    }

    /// Those to look at by now, at most `limit`, the longest due first; each with what was told of its schedule last.
    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<(Watch, Option<Told>)> {
        let book = self.book();
        let due = book.upcoming.iter().take_while(|(at, _)| *at <= now).take(limit);
        let pages = due.filter_map(|(_, id)| book.pages.get(id));
        pages.filter_map(|page| Some((page.watch.clone()?, page.told))).collect()
    }

    /// An occurrence was looked at: the schedule's next one may be watched. `told` is what is known to be told of it then.
    pub(super) fn judged(&self, watch: &Watch, told: Option<Told>) {
        let mut book = self.book();
        let Some(page) = book.pages.get_mut(&watch.schedule) else { return };
        // It may be another's by now, or made anew.
        if page.watch.as_ref() != Some(watch) {
            return;
        }
        (page.watch, page.told) = (None, told);
        if told.is_none() {
            book.pages.remove(&watch.schedule);
        }
        book.upcoming.remove(&(watch.judge_at, watch.schedule.clone()));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no holder of the watches panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beat::testing::at;

    fn watch(schedule: &str, number: u128, judge_at: &str) -> Watch {
        Watch {
            schedule: ScheduleId::new(schedule).unwrap(),
            id: TaskId(uuid::Uuid::from_u128(number)),
            planned_at: at("2026-05-01T12:00:00Z"),
            due_at: at("2026-05-01T12:00:00Z"),
            judge_at: at(judge_at),
            supposed: false,
        }
    }

    const LATER: &str = "2026-05-01T13:00:00Z";

    fn due(watches: &Watches) -> Vec<(String, Option<Told>)> {
        let due = watches.due(at(LATER), 10).into_iter();
        due.map(|(watch, told)| (format!("{} {}", watch.schedule, watch.id.0.as_u128()), told)).collect()
    }

    #[test]
    fn the_pending_occurrence_is_kept_and_the_next_one_comes_when_it_was_judged() {
        let watches = Watches::default();
        let first = watch("a", 1, "2026-05-01T12:01:00Z");
        watches.add(first.clone());
        watches.add(watch("a", 2, "2026-05-01T12:02:00Z"));
        assert_eq!(due(&watches), [("a 1".into(), None)]);
        let told = Some(Told { id: first.id, at: at(LATER) });
        watches.judged(&first, told);
        assert_eq!(due(&watches), []);
        watches.add(watch("a", 3, "2026-05-01T12:03:00Z"));
        assert_eq!(due(&watches), [("a 3".into(), told)]);
    }

    #[test]
    fn one_that_is_only_supposed_makes_way_for_one_that_there_is() {
        let watches = Watches::default();
        let supposed = Watch { supposed: true, ..watch("a", 1, "2026-05-01T12:01:00Z") };
        watches.add(supposed.clone());
        watches.add(watch("a", 2, "2026-05-01T12:02:00Z"));
        watches.add(supposed.clone());
        assert_eq!(due(&watches), [("a 2".into(), None)]);
        watches.judged(&supposed, None);
        assert_eq!(due(&watches), [("a 2".into(), None)], "it was looked at while the other one came");
    }

    #[test]
    fn they_are_due_in_the_order_of_their_times_and_not_before() {
        let watches = Watches::default();
        watches.add(watch("b", 1, "2026-05-01T12:02:00Z"));
        watches.add(watch("a", 2, "2026-05-01T12:03:00Z"));
        watches.add(watch("c", 3, "2026-05-01T12:01:00Z"));
        assert_eq!(watches.due(at("2026-05-01T12:00:59Z"), 10), []);
        assert_eq!(due(&watches).into_iter().map(|(it, _)| it).collect::<Vec<_>>(), ["c 3", "b 1", "a 2"]);
        assert_eq!(watches.due(at(LATER), 2).len(), 2);
    }

    #[test]
    fn what_is_no_longer_ours_is_forgotten_and_so_is_what_is_found_of_it_afterwards() {
        let watches = Watches::default();
        let (ours, theirs) = (watch("a", 1, LATER), watch("b", 2, LATER));
        watches.add(ours.clone());
        watches.add(theirs.clone());
        watches.keep(|id| id.as_str() == "a");
        watches.judged(&theirs, Some(Told { id: theirs.id, at: at(LATER) }));
        assert_eq!(due(&watches), [("a 1".into(), None)]);
        watches.judged(&ours, None);
        assert!(
            watches.book().pages.is_empty() && watches.book().upcoming.is_empty(),
            "nothing is left of it"
        );
    }
}
