//! Calendars: named days off, and what becomes of an occurrence that falls on one.
//! Never knows where a calendar was written; `ical` reads the text of a file that somebody else opened.

mod day_off;
mod ical;
mod table;

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::cron::{DaySet, Month, all_days};
use crate::error::TimingError;
use table::Table;

pub use day_off::DayOff;

/// Entries of a calendar, at most.
const MOST_ENTRIES: usize = 5_000;

/// A named set of days off. Cheap to clone, and always valid.
///
/// It travels with the schedules that use it, whole: every beat then knows the same days, whatever file it was started
/// with, and a change of the calendar is a change of those schedules.
///
/// ```
/// # use upbeat_schedule::Calendar;
/// let calendar = Calendar::new("office", vec!["sunday".parse()?, "12-25".parse()?])?;
/// assert!(calendar.is_off("2026-12-25".parse()?));
/// assert!(!calendar.is_off("2026-12-24".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Calendar(Arc<Inner>);

struct Inner {
    name: String,
    days: Vec<DayOff>,
    table: Table,
}

/// A calendar in a stored schedule.
#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    days_off: Vec<DayOff>,
}

/// What becomes of an occurrence on a day off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHoliday {
    /// It does not run, and is recorded as skipped with the reason `calendar`.
    #[default]
    Skip,
    /// It runs at the same time on the first day after that is not off.
    NextBusinessDay,
    /// It runs at the same time on the last day before that is not off.
    PreviousBusinessDay,
}

impl OnHoliday {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::NextBusinessDay => "next_business_day",
            Self::PreviousBusinessDay => "previous_business_day",
        }
    }
}

impl Calendar {
    /// A calendar with these days off.
    pub fn new(name: impl Into<String>, days: Vec<DayOff>) -> Result<Self, TimingError> {
        let name = name.into();
        if days.len() > MOST_ENTRIES {
            let message = format!("the calendar `{name}` has {} entries", days.len());
            return Err(TimingError::new(0..0, message)
                .help(format!("there can be {MOST_ENTRIES}; write runs of days as ranges")));
        }
        let table = Table::new(&days);
        if let Some(first) = table.too_long_a_run() {
            let message = format!("the calendar `{name}` has no working day for a year from {first} on");
            return Err(TimingError::new(0..0, message).help("leave a day of each year that is not off"));
        }
        Ok(Self(Arc::new(Inner { name, days, table })))
    }

    /// Reads the all-day events of an iCalendar file (RFC 5545) as days off. `text` is the content of the file.
    ///
    /// Events may repeat every year on their date; other rules are refused, since days that they name would be missed.
    /// Errors point into `text`.
    pub fn days_of_ical(text: &str) -> Result<Vec<DayOff>, TimingError> {
        ical::days(text)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What was written.
    pub fn days_off(&self) -> &[DayOff] {
        &self.0.days
    }

    /// Whether that day is off.
    pub fn is_off(&self, date: Date) -> bool {
        self.0.table.has(date)
    }
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.name == other.0.name && self.0.days == other.0.days)
    }
}

impl Eq for Calendar {}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calendar").field("name", &self.0.name).field("days_off", &self.0.days).finish()
    }
}

impl TryFrom<Written> for Calendar {
    type Error = TimingError;

    fn try_from(written: Written) -> Result<Self, TimingError> {
        Self::new(written.name, written.days_off)
    }
}

impl From<Calendar> for Written {
    fn from(calendar: Calendar) -> Self {
        Self { name: calendar.0.name.clone(), days_off: calendar.0.days.clone() }
    }
}

/// A calendar, and the rule for days that it has off.
#[derive(Clone, Debug)]
pub(crate) struct Business {
    pub(crate) calendar: Calendar,
    pub(crate) on_holiday: OnHoliday,
}

impl Business {
    pub(crate) fn is_off(&self, date: Date) -> bool {
        self.calendar.is_off(date)
    }

    /// Years after this one have no days off of their own.
    pub(crate) fn last_dated_year(&self) -> i16 {
        self.calendar.0.table.last_dated_year().unwrap_or(i16::MIN)
    }

    /// The day on which what is planned for this one runs; none if it does not.
    pub(crate) fn day_for(&self, date: Date) -> Option<Date> {
        if !self.is_off(date) {
            return Some(date);
        }
        let next = match self.on_holiday {
            OnHoliday::Skip => return None,
            OnHoliday::NextBusinessDay => Date::tomorrow,
            OnHoliday::PreviousBusinessDay => Date::yesterday,
        };
        self.first_working(date, next)
    }

    /// The first day after that is not off.
    pub(crate) fn working_after(&self, date: Date) -> Option<Date> {
        self.first_working(date, Date::tomorrow)
    }

    fn first_working(&self, date: Date, next: fn(Date) -> Result<Date, jiff::Error>) -> Option<Date> {
        let mut day = date;
        for _ in 0..=table::LONGEST_RUN {
            day = next(day).ok()?;
            if !self.is_off(day) {
                return Some(day);
            }
        }
        None
    }

    /// The days of a month that run, where `ruled` says which ones the rule names.
    pub(crate) fn running(&self, year: i16, month: i8, ruled: impl Fn(i16, i8) -> DaySet) -> DaySet {
        let named = ruled(year, month);
        if named == 0 && self.on_holiday == OnHoliday::Skip {
            return 0;
        }
        let off = self.off(year, month);
        let Some(days) = Month::of(year, month).map(|month| month.days) else { return 0 };
        match self.on_holiday {
            OnHoliday::Skip => named & !off,
            OnHoliday::NextBusinessDay => {
                let waiting = self.waits_before(year, month, &ruled);
                moved(1..=days, named, off, waiting)
            }
            OnHoliday::PreviousBusinessDay => {
                let waiting = self.waits_after(year, month, &ruled);
                moved((1..=days).rev(), named, off, waiting)
            }
        }
    }

    fn off(&self, year: i16, month: i8) -> DaySet {
        self.calendar.0.table.in_month(year, month)
    }

    /// Whether the rule names a day of the run of days off that ends with the month before.
    fn waits_before(&self, year: i16, month: i8, ruled: &impl Fn(i16, i8) -> DaySet) -> bool {
        let before = |(year, month): (i16, i8)| if month == 1 { (year - 1, 12) } else { (year, month - 1) };
        let mut at = before((year, month));
        for _ in 0..=MONTHS_OF_A_RUN {
            let Some(days) = Month::of(at.0, at.1).map(|month| month.days) else { return false };
            let off = self.off(at.0, at.1);
            let working = all_days(days) & !off;
            let last_working = working.checked_ilog2().unwrap_or(0);
            if ruled(at.0, at.1) & off & (!0 << last_working) != 0 {
                return true;
            }
            if last_working != 0 {
                return false;
            }
            at = before(at);
        }
        false
    }

    /// Whether the rule names a day of the run of days off that begins with the month after.
    fn waits_after(&self, year: i16, month: i8, ruled: &impl Fn(i16, i8) -> DaySet) -> bool {
        let after = |(year, month): (i16, i8)| if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let mut at = after((year, month));
        for _ in 0..=MONTHS_OF_A_RUN {
            let Some(days) = Month::of(at.0, at.1).map(|month| month.days) else { return false };
            let off = self.off(at.0, at.1);
            let working = all_days(days) & !off;
            let before_working = if working == 0 { !0 } else { (1 << working.trailing_zeros()) - 1 };
            if ruled(at.0, at.1) & off & before_working != 0 {
                return true;
            }
            if working != 0 {
                return false;
            }
            at = after(at);
        }
        false
    }
}

/// A run of days off lies within so many months.
const MONTHS_OF_A_RUN: u32 = 13;

/// Passes over the days in the direction of the move; what is named on a day off waits for the next one that is not.
fn moved(days: impl Iterator<Item = u32>, named: DaySet, off: DaySet, mut waiting: bool) -> DaySet {
    let mut running = 0;
    for day in days {
        let bit = 1 << day;
        waiting |= named & bit != 0;
        if waiting && off & bit == 0 {
            running |= bit;
            waiting = false;
        }
    }
    running
}
