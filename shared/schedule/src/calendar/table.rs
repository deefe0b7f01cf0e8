//! Days off as bit sets: which days of a month they are.
//! Never looks at a schedule.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::day_off::DayOff;
use crate::cron::{DaySet, Month, all_days};

/// The days off of a calendar, by month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Bit 0 is Sunday.
    weekly: u8,
    /// By month, January at index 1.
    yearly: [DaySet; 13],
    dated: BTreeMap<(i16, i8), DaySet>,
}

/// Days off in a row, at most. More than a year of them is a mistake, and every search for a working day ends here.
pub(super) const LONGEST_RUN: i32 = 366;

impl Table {
    pub(super) fn new(days: &[DayOff]) -> Self {
        let mut table = Self::default();
        for day in days {
            match day {
                DayOff::Weekly(weekday) => table.weekly |= 1 << weekday.to_sunday_zero_offset(),
                DayOff::Yearly { month, day } => table.yearly[usize::from(month.unsigned_abs())] |= 1 << day,
                DayOff::Dates { first, last } => table.add(*first, *last),
            }
        }
        table
    }

    fn add(&mut self, first: Date, last: Date) {
        for date in first.series(1.day()).take_while(|date| *date <= last) {
            *self.dated.entry((date.year(), date.month())).or_default() |= 1 << date.day();
        }
    }

    /// The days off of a month; all that there are none of in years that do not exist.
    pub(super) fn in_month(&self, year: i16, month: i8) -> DaySet {
        let Some(shape) = Month::of(year, month) else { return 0 };
        let yearly = self.yearly[usize::from(month.unsigned_abs())];
        let dated = self.dated.get(&(year, month)).copied().unwrap_or(0);
        (shape.weekdays(self.weekly) | yearly | dated) & all_days(shape.days)
    }

    pub(super) fn has(&self, date: Date) -> bool {
        self.in_month(date.year(), date.month()) >> date.day() & 1 == 1
    }

    /// The last year with a date of its own: after it the calendar repeats itself.
    pub(super) fn last_dated_year(&self) -> Option<i16> {
        self.dated.keys().next_back().map(|(year, _)| *year)
    }

    /// The days that are off in each week, in every year, and once: an upper bound of what a long run consists of.
    fn counts(&self) -> (u32, u32, u32) {
        let yearly = self.yearly.iter().map(|days| days.count_ones()).sum();
        let dated = self.dated.values().map(|days| days.count_ones()).sum();
        (self.weekly.count_ones(), yearly, dated)
    }

    /// The first day of a run of days off that is longer than any may be.
    pub(super) fn too_long_a_run(&self) -> Option<Date> {
        let (weekly, yearly, dated) = self.counts();
        // What is left of a year's weeks has to be covered by the rest, or there is no such run.
        if yearly + dated < 52 * (7 - weekly.min(7)) {
            return None;
        }
        let first = self.dated.keys().next().map_or(2000, |(year, _)| *year);
        // Leap days and weekdays come round after 28 years.
        let last = self.last_dated_year().unwrap_or(first).saturating_add(28);
        let mut run = 0;
        let mut date = Date::new(first.saturating_sub(1), 1, 1).ok()?;
        while date.year() <= last {
            run = if self.has(date) { run + 1 } else { 0 };
            if run > LONGEST_RUN {
                return date.checked_sub((run - 1).days()).ok();
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}
