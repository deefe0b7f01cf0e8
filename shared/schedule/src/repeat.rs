//! `repeat`: an ISO 8601 repetition, such as `R5/2026-01-31T09:00:00Z/P1M`.
//! Never accumulates: the n-th instant is start + n × duration, so a short month does not shorten those after it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::duration::{Step, parse_step};
use crate::error::TimingError;
use crate::every::Turns;
use crate::instant::{self, Moment, own_zone, parse_moment};
use crate::wall::{Instants, Wall};

const FORMS: &str =
    "a repetition is written as `R5/2026-01-31T09:00:00Z/P1M` (five times), or with `R/` without end";

const STEPS: &str = "the last part says how far apart: `PT15M`, `P1D`, `P1M` or `P1Y`";

/// More than this many is without end for all purposes, and keeps n × duration within 64 bits.
const MOST_TIMES: i64 = 1_000_000_000;

/// A repetition that was read, before the rules for gaps and folds are asked.
#[derive(Debug)]
pub(crate) struct Repetition {
    pub(crate) turns: Turns,
    pub(crate) step: Step,
    /// What the start itself says about where it is: a zone, an offset or `Z`.
    pub(crate) zone: Option<TimeZone>,
    start: Moment,
}

impl Repetition {
    /// Reads `Rn/start/duration`.
    pub(crate) fn parse(text: &str) -> Result<Self, TimingError> {
        let parts = Parts::split(text)?;
        let times = parts.times()?;
        let start = parse_moment(parts.start.0).map_err(|error| error.shifted(parts.start.1))?;
        if matches!(start, Moment::Date(_)) {
            return Err(instant::without_time(parts.start.0).shifted(parts.start.1));
        }
        let step = parse_step(parts.step.0, STEPS).map_err(|error| error.shifted(parts.step.1))?;
        Ok(Self { turns: Turns::from_start(times), step, zone: own_zone(parts.start.0), start })
    }

    /// The first instant, where the start names one, and what the wall clock shows then.
    ///
    /// A wall-clock time in a gap stays what it is: those after it are counted from it, not from where the gap moves it.
    pub(crate) fn anchor(&self, zone: &TimeZone) -> (Option<Timestamp>, DateTime) {
        match &self.start {
            Moment::Instant(instant) => (Some(*instant), zone.to_datetime(*instant)),
            Moment::Civil(civil, _) => (None, *civil),
            Moment::Date(date) => (None, date.to_datetime(jiff::civil::Time::midnight())),
        }
    }

    /// The first instant, for steps of elapsed time.
    pub(crate) fn first(&self, zone: &TimeZone, wall: Wall) -> Option<Timestamp> {
        let (instant, civil) = self.anchor(zone);
        instant.or_else(|| match wall.instants(zone, civil) {
            Instants::One(instant) | Instants::Two(instant, _) => Some(instant::whole_micros(instant)),
            Instants::None => None,
        })
    }
}

/// The three parts, each with where it starts.
struct Parts<'t> {
    count: (&'t str, usize),
    start: (&'t str, usize),
    step: (&'t str, usize),
}

impl<'t> Parts<'t> {
    fn split(text: &'t str) -> Result<Self, TimingError> {
        let (first, last) = (text.find('/'), text.rfind('/'));
        if !text.trim_start().starts_with(['R', 'r']) {
            return Err(TimingError::whole(text, "a repetition begins with `R`").help(FORMS));
        }
        let (Some(first), Some(last)) = (first, last.filter(|last| Some(*last) != first)) else {
            return Err(match first {
                Some(at) if text[at + 1..].trim_start().starts_with(['P', 'p']) => {
                    TimingError::new(0..at + 1, "the start is missing").help(FORMS)
                }
                _ => TimingError::whole(text, "a repetition has three parts").help(FORMS),
            });
        };
        let (start, step) = (&text[first + 1..last], &text[last + 1..]);
        let of_start = (start, first + 1);
        if start.trim_start().starts_with(['P', 'p']) {
            return Err(TimingError::new(first + 1..text.len(), "here the duration stands before an end")
                .help("write the start, then the duration: `R5/2026-01-31T09:00:00Z/P1M`"));
        }
        if step.trim_start().starts_with(|c: char| c.is_ascii_digit()) && step.contains('-') {
            return Err(TimingError::new(
                last + 1..text.len(),
                "here an end stands in the place of a duration",
            )
            .help(STEPS));
        }
        Ok(Self { count: (&text[..first], 0), start: of_start, step: (step, last + 1) })
    }

    /// How often; none is without end.
    fn times(&self) -> Result<Option<i64>, TimingError> {
        let digits = self.count.0.trim()[1..].trim();
        let span = self.count.1..self.count.1 + self.count.0.len();
        match digits {
            "" | "-1" => Ok(None),
            "0" => Err(TimingError::new(span, "this never fires: it is repeated no times")
                .help("`R1/` fires once, `R/` without end")),
            _ => match digits.parse().ok().filter(|times| (1..=MOST_TIMES).contains(times)) {
                Some(times) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(times)),
                _ => Err(TimingError::new(span, format!("`{}` does not say how often", self.count.0.trim()))
                    .help(format!(
                        "`R5/` fires five times, `R/` without end; numbers go up to {MOST_TIMES}"
                    ))),
            },
        }
    }
}
