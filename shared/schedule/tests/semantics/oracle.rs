//! A second opinion: what a rule means, by trying every wall-clock time. Shares nothing with the
//! search, and is as slow as it is plain.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use upbeat_schedule::{DayOff, Fold, Gap, OnHoliday};

/// An expression as the generator knows it, before it became text.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) text: String,
    pub(crate) seconds: BTreeSet<u32>,
    pub(crate) minutes: BTreeSet<u32>,
    pub(crate) hours: BTreeSet<u32>,
    pub(crate) months: BTreeSet<u32>,
    pub(crate) of_month: Vec<MonthDay>,
    pub(crate) of_week: Vec<WeekDay>,
    /// Either day field starts with a star, or both are asked for.
    pub(crate) both: bool,
    /// Second, minute or hour repeat without an end.
    pub(crate) interval: bool,
}

/// One element of the day-of-month field.
#[derive(Clone, Debug)]
pub(crate) enum MonthDay {
    Dates(BTreeSet<u32>),
    Last,
    BeforeLast(u32),
    LastWeekday,
    Near(u32),
}

/// One element of the day-of-week field; Sunday is 0.
#[derive(Clone, Debug)]
pub(crate) enum WeekDay {
    Days(BTreeSet<u32>),
    Nth(u32, u32),
    Last(u32),
}

impl Rule {
    /// All occurrences after `after`, up to and including `until`.
    pub(crate) fn occurrences(
        &self,
        zone: &TimeZone,
        gap: Gap,
        fold: Fold,
        span: (Timestamp, Timestamp),
    ) -> Vec<Timestamp> {
        self.occurrences_on(&|date| self.has_date(date), zone, gap, fold, span)
    }

    /// The same on other days than those that the expression names.
    pub(crate) fn occurrences_on(
        &self,
        runs: &dyn Fn(Date) -> bool,
        zone: &TimeZone,
        gap: Gap,
        fold: Fold,
        (after, until): (Timestamp, Timestamp),
    ) -> Vec<Timestamp> {
        let (gap, fold) = if self.interval { (Gap::Skip, Fold::Both) } else { (gap, fold) };
        let mut found = BTreeSet::new();
        let mut date = zone.to_datetime(after).date() - 2.days();
        let end = zone.to_datetime(until).date() + 2.days();
        while date <= end {
            if runs(date) {
                let offsets = offsets_around(zone, date);
                for time in self.times(date) {
                    found.extend(instants(zone, &offsets, time, gap, fold));
                }
            }
            date = date.tomorrow().expect("in range");
        }
        found.into_iter().filter(|at| *at > after && *at <= until).collect()
    }

    /// How many times of day match.
    pub(crate) fn times_a_day(&self) -> usize {
        self.seconds.len() * self.minutes.len() * self.hours.len()
    }

    fn times(&self, date: Date) -> impl Iterator<Item = DateTime> {
        let field = |number: &u32| i8::try_from(*number).expect("small");
        self.hours.iter().flat_map(move |hour| {
            self.minutes.iter().flat_map(move |minute| {
                self.seconds.iter().map(move |second| date.at(field(hour), field(minute), field(second), 0))
            })
        })
    }

    pub(crate) fn has_time(&self, time: jiff::civil::Time) -> bool {
        self.hours.contains(&number(time.hour()))
            && self.minutes.contains(&number(time.minute()))
            && self.seconds.contains(&number(time.second()))
    }

    pub(crate) fn has_date(&self, date: Date) -> bool {
        let by_month = self.of_month.iter().any(|day| day.is(date));
        let by_week = self.of_week.iter().any(|day| day.is(date));
        let day = if self.both { by_month && by_week } else { by_month || by_week };
        day && self.months.contains(&number(date.month()))
    }
}

impl MonthDay {
    fn is(&self, date: Date) -> bool {
        let last = date.last_of_month();
        match self {
            Self::Dates(dates) => dates.contains(&number(date.day())),
            Self::Last => date == last,
            Self::BeforeLast(days) => date == last - i64::from(*days).days(),
            Self::LastWeekday => {
                let mut day = last;
                while !works(day) {
                    day = day.yesterday().expect("in range");
                }
                date == day
            }
            Self::Near(day) => {
                let Ok(wanted) = date.with().day(i8::try_from(*day).expect("small")).build() else {
                    return false;
                };
                let near = [0, -1, 1, -2, 2].into_iter().map(|by| wanted + i64::from(by).days());
                let mut allowed = near.filter(|near| works(*near) && near.month() == wanted.month());
                allowed.next() == Some(date)
            }
        }
    }
}

impl WeekDay {
    fn is(&self, date: Date) -> bool {
        let weekday = number(date.weekday().to_sunday_zero_offset());
        match self {
            Self::Days(days) => days.contains(&weekday),
            Self::Nth(day, nth) => {
                // The earlier ones of its month, this one included.
                let mut count = 0;
                let mut at = date;
                while at.month() == date.month() {
                    count += 1;
                    at -= 7.days();
                }
                weekday == *day && count == *nth
            }
            Self::Last(day) => weekday == *day && (date + 7.days()).month() != date.month(),
        }
    }
}

/// Days off as a test made them up, and what becomes of what falls on one.
#[derive(Clone, Debug)]
pub(crate) struct DaysOff {
    pub(crate) days: Vec<DayOff>,
    pub(crate) on_holiday: OnHoliday,
}

impl DaysOff {
    pub(crate) fn is_off(&self, date: Date) -> bool {
        self.days.iter().any(|day| match day {
            DayOff::Weekly(weekday) => date.weekday() == *weekday,
            DayOff::Yearly { month, day } => (date.month(), date.day()) == (*month, *day),
            DayOff::Dates { first, last } => *first <= date && date <= *last,
        })
    }

    /// Whether something runs on that day that was planned for it or for a day off beside it.
    pub(crate) fn runs(&self, date: Date, named: &dyn Fn(Date) -> bool) -> bool {
        if self.is_off(date) {
            return false;
        }
        let beside = match self.on_holiday {
            OnHoliday::Skip => return named(date),
            OnHoliday::NextBusinessDay => -1,
            OnHoliday::PreviousBusinessDay => 1,
        };
        let mut day = date;
        loop {
            if named(day) {
                return true;
            }
            day += beside.days();
            if !self.is_off(day) {
                return false;
            }
        }
    }
}

fn works(date: Date) -> bool {
    (1..=5).contains(&date.weekday().to_monday_one_offset())
}

fn number(field: i8) -> u32 {
    u32::try_from(field).expect("not negative")
}

/// Every offset that the zone has within a day or so of that date.
fn offsets_around(zone: &TimeZone, date: Date) -> BTreeSet<i32> {
    let noon = date.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).expect("in range").timestamp();
    let quarters = -42 * 4..=42 * 4;
    let sample = |n: i64| noon.saturating_add(SignedDuration::from_mins(15 * n)).expect("no units");
    quarters.map(|n| zone.to_offset(sample(n)).seconds()).collect()
}

/// What one wall-clock time stands for: every instant at which the clock shows it, by trial.
fn instants(
    zone: &TimeZone,
    offsets: &BTreeSet<i32>,
    civil: DateTime,
    gap: Gap,
    fold: Fold,
) -> Vec<Timestamp> {
    let as_utc = civil.to_zoned(TimeZone::UTC).expect("in range").timestamp().as_second();
    let at = |secs: i64| Timestamp::from_second(secs).expect("in range");
    let mut shown: Vec<i64> = offsets
        .iter()
        .filter(|offset| zone.to_offset(at(as_utc - i64::from(**offset))).seconds() == **offset)
        .map(|offset| as_utc - i64::from(*offset))
        .collect();
    shown.sort_unstable();
    let chosen: Vec<i64> = match (shown.as_slice(), gap, fold) {
        ([], Gap::Skip, _) => Vec::new(),
        ([], Gap::RunAfter, _) => vec![first_later(zone, offsets, as_utc)],
        ([first, ..], _, Fold::First) => vec![*first],
        ([.., second], _, Fold::Second) => vec![*second],
        (all, _, Fold::Both) => all.to_vec(),
    };
    chosen.into_iter().map(at).collect()
}

/// The first second at which the clock shows more than a time that it never shows.
fn first_later(zone: &TimeZone, offsets: &BTreeSet<i32>, local: i64) -> i64 {
    let bound = |offset: Option<&i32>| local - i64::from(*offset.expect("every zone has an offset"));
    let shows =
        |at: i64| at + i64::from(zone.to_offset(Timestamp::from_second(at).expect("in range")).seconds());
    let (mut before, mut after) = (bound(offsets.last()) - 1, bound(offsets.first()) + 1);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if shows(middle) > local {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}
