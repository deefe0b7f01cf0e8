//! Which occurrences are watched, lest they do not start: those that were just fired, and of schedules that another beat
//! planned before the last one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use upbeat_shared::clock;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Advance, Due};
use upbeat_shared::name::ScheduleId;
use upbeat_shared::occurrence::ScheduleRecord;

use super::Planner;
use super::book::Page;
use crate::beat::overdue::Watch;

/// How long this beat has worked at least before it judges what another has left: the whole program may just have been
/// started again, and promotes what waits.
const SETTLED: Duration = Duration::from_secs(10);

impl Planner {
    /// Watches the first of the occurrences that were fired. One that was made up for gets as long as any other.
    pub(super) fn watch_fired(&self, advance: &Advance, now: Timestamp) {
        let (Some(page), Some(entry)) = (self.book.get(&advance.id), advance.fire.first()) else { return };
        let (Some(planned), Due::At(due_at)) = (&entry.message.occurrence, entry.due) else { return };
        self.ctx.watches.add(Watch {
            schedule: advance.id.clone(),
            id: entry.message.id,
            planned_at: planned.planned_at,
            due_at,
            judge_at: clock::later(due_at.max(now), self.overdue_after(page)),
            // One that is merged into another has no task of its own.
            supposed: entry.message.unique.is_some(),
        });
    }

    /// Those of these schedules that this beat did not plan before.
    pub(super) fn newcomers(&self, records: &[ScheduleRecord]) -> Vec<ScheduleId> {
        let known = |record: &ScheduleRecord| {
            self.book.get(&record.id).is_some_and(|page| page.record.incarnation == record.incarnation)
        };
        records.iter().filter(|record| !known(record)).map(|record| record.id.clone()).collect()
    }

    /// Forgets schedules that are no longer planned here, and watches the last occurrence of each that now is: its cursor
    /// stands at the last instant that was decided. Where nothing was fired then, there is no task of that id.
    pub(super) fn watch_newcomers(&self, new: &[ScheduleId], now: Timestamp) {
        self.ctx.watches.keep(|id| self.book.get(id).is_some());
        let namespace = &self.ctx.options.namespace;
        for page in new.iter().filter_map(|id| self.book.get(id)) {
            let record = &page.record;
            let Some(timetable) = page.timetable.as_ref().filter(|_| record.cursor <= now) else { continue };
            let planned_at = record.cursor;
            let jitter = timetable.jitter_of(record.id.as_str(), planned_at).max(SignedDuration::ZERO);
            let due_at = planned_at.saturating_add(jitter).unwrap_or(Timestamp::MAX);
            let judge_at = clock::later(due_at, self.overdue_after(page)).max(clock::later(now, SETTLED));
            let id = TaskId::from_occurrence(namespace, &record.id, record.incarnation, planned_at, 0);
            let schedule = record.id.clone();
            self.ctx.watches.add(Watch { schedule, id, planned_at, due_at, judge_at, supposed: true });
        }
    }

    fn overdue_after(&self, page: &Page) -> Duration {
        page.record.definition.overdue_after.unwrap_or(self.ctx.options.overdue_after)
    }
}
