//! What moved an occurrence away from where its rule names it.
//! Found after the fact, from the instant and the rule: nothing is carried through the search.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::calendar::{Business, OnHoliday};
use crate::cron::Pattern;
use crate::every::CalendarEvery;
use crate::instant::{Moment, parse_moment};
use crate::spec::TimingSpec;
use crate::timetable::{Rule, Steps, Timetable, just_before};
use crate::wall::removed_before;

/// What moved an occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shift {
    /// Its month is too short for the day of the month on which its steps began.
    Clamped {
        /// That day.
        day: i8,
    },
    /// The calendar has the day off that the rule names.
    Calendar {
        /// The calendar's name.
        calendar: String,
        /// That day; the nearest, if there are several.
        off: Date,
    },
    /// A change of clocks skips the time that the rule names.
    Gap {
        /// That time.
        skipped: DateTime,
    },
    /// A change of clocks repeats the time that the rule names.
    Fold {
        /// That time.
        repeated: DateTime,
        /// This is the first of the two.
        first: bool,
    },
    /// It is delayed on purpose, so that not everything starts at once. Its planned instant stays.
    Jitter {
        /// By how much.
        by: SignedDuration,
    },
}

impl Shift {
    /// One word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Clamped { .. } => "clamped",
            Self::Calendar { .. } => "calendar",
            Self::Gap { .. } => "gap",
            Self::Fold { .. } => "fold",
            Self::Jitter { .. } => "jitter",
        }
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind())?;
        match self {
            Self::Clamped { day } => write!(f, "this month has no {}", ordinal(*day)),
            Self::Calendar { calendar, off } => {
                write!(f, "moved from {} {off}, a day off of {calendar}", off.strftime("%A"))
            }
            Self::Gap { skipped } => {
                write!(f, "the clocks skip {} that day; it runs right after", clock(skipped.time()))
            }
            Self::Fold { repeated, first } => {
                let which = if *first { "first" } else { "second" };
                write!(
                    f,
                    "the clocks show {} twice that day; this is the {which} time",
                    clock(repeated.time())
                )
            }
            Self::Jitter { by } => write!(f, "runs {by:#} later"),
        }
    }
}

/// `02:30`, with seconds where there are some.
pub(super) fn clock(time: Time) -> String {
    let form = if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    time.strftime(form).to_string()
}

/// `1st`, `22nd`, `31st`.
pub(crate) fn ordinal(number: i8) -> String {
    let end = match (number % 10, number / 10) {
        (1, tens) if tens != 1 => "st",
        (2, tens) if tens != 1 => "nd",
        (3, tens) if tens != 1 => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}

/// What moved an occurrence of this timetable, jitter aside.
pub(super) fn of(spec: &TimingSpec, timetable: &Timetable, at: Timestamp) -> Vec<Shift> {
    let (zone, business) = (timetable.zone(), timetable.business.as_ref());
    match &timetable.rule {
        Rule::Cron { pattern, .. } => of_cron(pattern, zone, at),
        Rule::Every { steps: Steps::Fixed(_), .. } => Vec::new(),
        Rule::Every { steps: Steps::Calendar(every), .. } => of_steps(every, zone, business, at),
        Rule::At(_) => match parse_moment(spec.text_of("at")) {
            Ok(Moment::Civil(civil, named)) => {
                of_named(civil, named.as_ref().unwrap_or(zone), business, at).into_iter().collect()
            }
            _ => Vec::new(),
        },
    }
}

fn of_cron(pattern: &Pattern, zone: &TimeZone, at: Timestamp) -> Vec<Shift> {
    let shown = zone.to_datetime(at);
    let matches = |civil: DateTime| pattern.next_from(civil) == Some(civil);
    let gap = removed_before(pattern, zone, at).filter(|_| !matches(shown));
    let named = gap.unwrap_or(shown);
    let moved = pattern.business.as_ref().and_then(|business| {
        let calendar = business.calendar.name().to_owned();
        Some(Shift::Calendar { calendar, off: left(pattern, business, named.date())? })
    });
    let clocks = match gap {
        Some(skipped) => Some(Shift::Gap { skipped }),
        None => fold(zone, shown, at),
    };
    moved.into_iter().chain(clocks).collect()
}

/// The day off from which a calendar moved something to that day, if the rule does not name the day itself.
fn left(pattern: &Pattern, business: &Business, date: Date) -> Option<Date> {
    let rule = pattern.without_calendar();
    let back = match business.on_holiday {
        OnHoliday::Skip => return None,
        OnHoliday::NextBusinessDay => (-1).days(),
        OnHoliday::PreviousBusinessDay => 1.days(),
    };
    if rule.has_date(date) {
        return None;
    }
    let mut day = date.checked_add(back).ok()?;
    while business.is_off(day) {
        if rule.has_date(day) {
            return Some(day);
        }
        day = day.checked_add(back).ok()?;
    }
    None
}

fn of_steps(
    every: &CalendarEvery,
    zone: &TimeZone,
    business: Option<&Business>,
    at: Timestamp,
) -> Vec<Shift> {
    let Some((n, _)) = every.next_numbered(zone, business, just_before(at)) else { return Vec::new() };
    let clamped = every.is_clamped(n).map(|day| Shift::Clamped { day });
    let is_moved =
        |day: Date| business.is_some_and(|business| business.day_for(day).is_some_and(|moved| moved != day));
    let named = every.civil(n).filter(|civil| every.is_on_the_wall_clock(n) || is_moved(civil.date()));
    let moved = named.map(|civil| of_named(civil, zone, business, at)).unwrap_or_default();
    clamped.into_iter().chain(moved).collect()
}

/// What made an instant of a time that the rule names outright.
fn of_named(civil: DateTime, zone: &TimeZone, business: Option<&Business>, at: Timestamp) -> Vec<Shift> {
    let day = business.and_then(|business| business.day_for(civil.date())).unwrap_or(civil.date());
    let moved = business.filter(|_| day != civil.date()).map(|business| {
        let calendar = business.calendar.name().to_owned();
        Shift::Calendar { calendar, off: civil.date() }
    });
    let civil = day.to_datetime(civil.time());
    let clocks = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Gap { .. } => Some(Shift::Gap { skipped: civil }),
        AmbiguousOffset::Fold { .. } => fold(zone, civil, at),
        AmbiguousOffset::Unambiguous { .. } => None,
    };
    moved.into_iter().chain(clocks).collect()
}

fn fold(zone: &TimeZone, civil: DateTime, at: Timestamp) -> Option<Shift> {
    let wall = zone.to_ambiguous_timestamp(civil);
    let AmbiguousOffset::Fold { .. } = wall.offset() else { return None };
    Some(Shift::Fold { repeated: civil, first: wall.earlier().ok() == Some(at) })
}
