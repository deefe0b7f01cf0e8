//! A compiled rule in a zone: what fires next.
//! Never reads a clock; every answer follows from the instant that is passed in.

use std::borrow::Cow;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::calendar::{Business, OnHoliday};
use crate::cron::Pattern;
use crate::every::{CalendarEvery, FixedEvery};
use crate::jitter::jitter;
use crate::wall::Wall;

/// A compiled rule in a zone, made by `TimingSpec::compile`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Timetable {
    pub(crate) rule: Rule,
    pub(crate) zone: TimeZone,
    pub(crate) starts: Option<Timestamp>,
    pub(crate) ends: Option<Timestamp>,
    pub(crate) jitter: SignedDuration,
    /// What moves or removes days; an expression's pattern has it too.
    pub(crate) business: Option<Business>,
}

/// An instant that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub at: Timestamp,
    /// The calendar has its day off: it is skipped.
    pub is_off: bool,
}

/// What repeats. One arm per way of writing a rule; `text` is what the user wrote.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Cron { text: String, pattern: Box<Pattern>, wall: Wall },
    Every { text: String, steps: Steps },
    At(Timestamp),
}

/// Steps of `every` and `repeat`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Steps {
    Fixed(FixedEvery),
    Calendar(CalendarEvery),
}

impl Timetable {
    /// The first occurrence strictly after that instant; none if there will never be another.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.not_before_start(after);
        let business = self.business.as_ref();
        let next = match &self.rule {
            Rule::Cron { pattern, wall, .. } => wall.next(pattern, &self.zone, after),
            Rule::Every { steps: Steps::Fixed(every), .. } => match business {
                Some(business) => every.next_working(&self.zone, business, after),
                None => every.next(after),
            },
            Rule::Every { steps: Steps::Calendar(every), .. } => every.next(&self.zone, business, after),
            Rule::At(instant) => (*instant > after).then_some(*instant),
        };
        next.filter(|next| self.is_before_end(*next))
    }

    /// The first instant strictly after that one to account for: one that fires, or one that does not because the calendar
    /// has its day off.
    pub fn next_planned(&self, after: Timestamp) -> Option<Planned> {
        let fires = self.next(after);
        let skips = self.business.as_ref().is_some_and(|business| business.on_holiday == OnHoliday::Skip);
        if skips {
            let named = self.next_named(self.not_before_start(after));
            let named = named.filter(|named| self.is_before_end(*named));
            // What fires is named too, so an earlier one that is named does not fire.
            if let Some(named) = named.filter(|named| fires.is_none_or(|fires| *named < fires)) {
                return Some(Planned { at: named, is_off: true });
            }
        }
        fires.map(|at| Planned { at, is_off: false })
    }

    /// The same as if no day were off.
    pub(crate) fn without_calendar(&self) -> Self {
        let rule = match &self.rule {
            Rule::Cron { text, pattern, wall } => {
                Rule::Cron { text: text.clone(), pattern: Box::new(pattern.without_calendar()), wall: *wall }
            }
            rule => rule.clone(),
        };
        Self { rule, business: None, ..self.clone() }
    }

    /// What the rule says without its calendar.
    fn next_named(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Cron { pattern, wall, .. } => wall.next(&pattern.without_calendar(), &self.zone, after),
            Rule::Every { steps: Steps::Fixed(every), .. } => every.next(after),
            Rule::Every { steps: Steps::Calendar(every), .. } => every.next(&self.zone, None, after),
            Rule::At(instant) => (*instant > after).then_some(*instant),
        }
    }

    fn not_before_start(&self, after: Timestamp) -> Timestamp {
        self.starts.map_or(after, |starts| after.max(just_before(starts)))
    }

    fn is_before_end(&self, next: Timestamp) -> bool {
        self.ends.is_none_or(|ends| next <= ends)
    }

    /// The occurrences after that instant, in order.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(after), |previous| self.next(*previous))
    }

    /// The IANA name of the zone; `UTC` unless another was asked for, and an offset such as `+01:00` where the start of a
    /// repetition has one.
    pub fn zone_name(&self) -> Cow<'_, str> {
        match self.zone.iana_name() {
            Some(name) => name.into(),
            None => Timestamp::UNIX_EPOCH.to_zoned(self.zone.clone()).strftime("%:z").to_string().into(),
        }
    }

    /// The zone in which the rule is read.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether the zone's clocks change now and then.
    pub(crate) fn changes_clocks(&self) -> bool {
        self.zone.to_fixed_offset().is_err()
    }

    /// The rule in a few words: `cron 30 2 * * * Europe/Berlin`, `every 15m`, `at 2026-01-31T09:00:00Z`.
    pub fn describe(&self) -> String {
        self.to_string()
    }

    /// How long after its planned instant this occurrence is to run: a hash of both, the same on every host.
    /// Below the jitter window; zero without one.
    pub fn jitter_of(&self, schedule_id: &str, planned: Timestamp) -> SignedDuration {
        jitter(self.jitter, schedule_id, planned)
    }

    /// Counts without walking, where the rule allows it: the occurrences from `first`, which is one, to `until`.
    pub(crate) fn through(&self, first: Timestamp, until: Timestamp) -> Option<(Timestamp, u64)> {
        match &self.rule {
            Rule::Every { steps: Steps::Fixed(every), .. } if self.business.is_none() => {
                every.through(first, self.ends.map_or(until, |ends| until.min(ends)))
            }
            Rule::Cron { .. } | Rule::Every { .. } | Rule::At(_) => None,
        }
    }
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Cron { text, .. } => write!(f, "cron {text} {}", self.zone_name()),
            Rule::Every { text, steps: Steps::Calendar(_) } if text.starts_with("every") => {
                write!(f, "{text} {}", self.zone_name())
            }
            Rule::Every { text, .. } => f.write_str(text),
            Rule::At(instant) => write!(f, "at {instant}"),
        }
    }
}

/// The instant before, so that "strictly after" includes the given one.
pub(crate) fn just_before(instant: Timestamp) -> Timestamp {
    instant.checked_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN)
}
