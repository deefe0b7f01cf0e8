//! The search over civil time: the first matching second from a given one.
//! Never knows whether that second exists in some zone.

use jiff::civil::{Date, DateTime, Time};

use super::days::{DaySet, Days};
use super::years::Years;
use crate::calendar::Business;

/// The Gregorian calendar repeats, weekdays included, after this many years.
const CALENDAR_CYCLE_YEARS: i16 = 400;

/// An expression as sets: bit `n` of a field is the number `n`.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(super) seconds: u64,
    pub(super) minutes: u64,
    pub(super) hours: u64,
    pub(super) months: u64,
    pub(super) days: Days,
    pub(super) years: Years,
    /// What moves or removes days.
    pub(crate) business: Option<Business>,
}

impl Pattern {
    /// The first match that is not before `from`, which has whole seconds.
    pub(crate) fn next_from(&self, from: DateTime) -> Option<DateTime> {
        if self.has_date(from.date())
            && let Some(time) = self.time_from(from.time())
        {
            return Some(from.date().to_datetime(time));
        }
        let date = self.date_from(from.date().tomorrow().ok()?)?;
        Some(date.to_datetime(self.time_from(Time::midnight())?))
    }

    /// The same in all years; none if these are all years.
    pub(crate) fn in_other_years(&self) -> Option<Self> {
        match self.years {
            Years::All => None,
            Years::Listed(_) => Some(Self { years: Years::All, ..self.clone() }),
        }
    }

    /// The same with these days off.
    pub(crate) fn with_calendar(self, business: Option<Business>) -> Self {
        Self { business, ..self }
    }

    /// The same as if no day were off.
    pub(crate) fn without_calendar(&self) -> Self {
        self.clone().with_calendar(None)
    }

    /// Years after this one are all alike: neither the expression nor its calendar names any of them singly.
    pub(crate) fn last_own_year(&self) -> i16 {
        self.business.as_ref().map_or(i16::MIN, Business::last_dated_year)
    }

    pub(crate) fn has_date(&self, date: Date) -> bool {
        has(self.days_of(date.year(), date.month()).into(), date.day())
    }

    /// The days of a month that the expression names, after what the calendar makes of them.
    fn days_of(&self, year: i16, month: i8) -> DaySet {
        match &self.business {
            None => self.named(year, month),
            Some(business) => business.running(year, month, |year, month| self.named(year, month)),
        }
    }

    fn named(&self, year: i16, month: i8) -> DaySet {
        if has(self.months, month) && self.years.contains(year) { self.days.in_month(year, month) } else { 0 }
    }

    /// The first matching date that is not before `from`.
    pub(super) fn date_from(&self, from: Date) -> Option<Date> {
        match &self.business {
            None => self.named_from(from),
            Some(business) => self.running_from(from, business),
        }
    }

    /// A day that was moved may lie in a month or a year that the expression does not name.
    fn running_from(&self, from: Date, business: &Business) -> Option<Date> {
        let mut last = from.year().max(business.last_dated_year()).saturating_add(CALENDAR_CYCLE_YEARS + 1);
        if let Some(named) = self.years.last() {
            last = named.saturating_add(2);
        }
        let (mut year, mut month, mut start) = (from.year(), from.month(), from.day());
        while year <= last {
            if let Some(day) = next_bit(self.days_of(year, month).into(), start) {
                return Date::new(year, month, day).ok();
            }
            (start, month) = (1, month + 1);
            if month > 12 {
                // A run of days off reaches into one other year at most.
                let near = self.years.next_from(year)?.saturating_sub(1);
                (year, month) = (near.max(year + 1), 1);
            }
        }
        None
    }

    fn named_from(&self, from: Date) -> Option<Date> {
        let mut year = self.years.next_from(from.year())?;
        // A pattern that fires at all fires within one cycle; one for listed years is bounded by the list.
        let last = year.saturating_add(CALENDAR_CYCLE_YEARS);
        while year <= last || matches!(self.years, Years::Listed(_)) {
            let start = if year == from.year() { from } else { Date::new(year, 1, 1).ok()? };
            if let Some(date) = self.date_in_year(start) {
                return Some(date);
            }
            year = self.years.next_from(year + 1)?;
        }
        None
    }

    fn date_in_year(&self, from: Date) -> Option<Date> {
        let mut start = from.day();
        let mut month = next_bit(self.months, from.month());
        while let Some(m) = month {
            if m != from.month() {
                start = 1;
            }
            if let Some(day) = next_bit(self.days.in_month(from.year(), m).into(), start) {
                return Date::new(from.year(), m, day).ok();
            }
            month = next_bit(self.months, m + 1);
        }
        None
    }

    /// The first matching time of a day that is not before `from`.
    fn time_from(&self, from: Time) -> Option<Time> {
        let (mut minute, mut second) = (from.minute(), from.second());
        let hour = next_bit(self.hours, from.hour())?;
        if hour == from.hour() {
            if has(self.minutes, minute)
                && let Some(second) = next_bit(self.seconds, second)
            {
                return Time::new(hour, minute, second, 0).ok();
            }
            minute += 1;
        } else {
            minute = 0;
        }
        second = next_bit(self.seconds, 0)?;
        if let Some(minute) = next_bit(self.minutes, minute) {
            return Time::new(hour, minute, second, 0).ok();
        }
        let hour = next_bit(self.hours, hour + 1)?;
        Time::new(hour, next_bit(self.minutes, 0)?, second, 0).ok()
    }
}

fn has(set: u64, number: i8) -> bool {
    set >> number & 1 == 1
}

/// The lowest number in the set that is not below `from`.
fn next_bit(set: u64, from: i8) -> Option<i8> {
    let rest = set.checked_shr(from.unsigned_abs().into()).unwrap_or(0);
    // At most 63, so the sum fits.
    (rest != 0).then(|| from + i8::try_from(rest.trailing_zeros()).unwrap_or(0))
}
