//! A compiled rule in a zone: what fires next.
//! Never reads a clock; every answer follows from the instant that is passed in.

use std::borrow::Cow;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

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
        let after = self.starts.map_or(after, |starts| after.max(just_before(starts)));
        let next = match &self.rule {
            Rule::Cron { pattern, wall, .. } => wall.next(pattern, &self.zone, after),
            Rule::Every { steps: Steps::Fixed(every), .. } => every.next(after),
            Rule::Every { steps: Steps::Calendar(every), .. } => every.next(&self.zone, after),
            Rule::At(instant) => (*instant > after).then_some(*instant),
        };
        next.filter(|next| self.ends.is_none_or(|ends| *next <= ends))
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
            Rule::Every { steps: Steps::Fixed(every), .. } => {
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
fn just_before(instant: Timestamp) -> Timestamp {
    instant.checked_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN)
}
