//! `every`: the n-th occurrence is start + n × step, computed and never accumulated.
//! Never walks from the start: the cost of an answer does not grow with n.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::calendar::Business;
use crate::duration::CalendarStep;
use crate::wall::{Instants, Wall};

/// The numbers n that there are occurrences for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    first: i64,
    last: i64,
}

impl Turns {
    /// Without a beginning and an end.
    pub(crate) const ALL: Self = Self { first: i64::MIN, last: i64::MAX };

    /// From the start on, so many times; none is without end.
    pub(crate) fn from_start(times: Option<i64>) -> Self {
        Self { first: 0, last: times.map_or(i64::MAX, |times| times - 1) }
    }

    /// The first one that is not before n.
    fn from(self, n: i64) -> Option<i64> {
        Some(n.max(self.first)).filter(|n| *n <= self.last)
    }

    /// How many there are, if they end.
    pub(crate) fn count(self) -> Option<i64> {
        (self.first == 0 && self.last < i64::MAX).then(|| self.last + 1)
    }
}

/// Elapsed time between occurrences. Microseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FixedEvery {
    anchor: i64,
    step: i64,
    turns: Turns,
}

impl FixedEvery {
    /// None if the step is not positive, or longer than the years that have instants.
    pub(crate) fn new(anchor: Timestamp, step: SignedDuration, turns: Turns) -> Option<Self> {
        let step = i64::try_from(step.as_micros()).ok().filter(|step| *step > 0)?;
        Some(Self { anchor: anchor.as_microsecond(), step, turns })
    }

    pub(crate) fn next(self, after: Timestamp) -> Option<Timestamp> {
        let since = floor_micros(after).checked_sub(self.anchor)?;
        self.at(self.turns.from(since.div_euclid(self.step).checked_add(1)?)?)
    }

    /// The first occurrence after that instant whose day in that zone is not off.
    pub(crate) fn next_working(
        self,
        zone: &TimeZone,
        business: &Business,
        after: Timestamp,
    ) -> Option<Timestamp> {
        let mut after = after;
        for _ in 0..MOST_OFF_IN_A_ROW {
            let next = self.next(after)?;
            let date = zone.to_datetime(next).date();
            if !business.is_off(date) {
                return Some(next);
            }
            let working = business.working_after(date)?;
            after = just_before(zone.to_timestamp(working.into()).ok()?).max(next);
        }
        None
    }

    /// The occurrences from `first`, which is one, to `until`: the last of them, and how many there are.
    pub(crate) fn through(self, first: Timestamp, until: Timestamp) -> Option<(Timestamp, u64)> {
        let end = self.at(self.turns.last).unwrap_or(Timestamp::MAX);
        let distance = until.min(end).as_microsecond().checked_sub(first.as_microsecond())?;
        let more = u64::try_from(distance).ok()? / u64::try_from(self.step).ok()?;
        let last = first.as_microsecond().checked_add(i64::try_from(more).ok()?.checked_mul(self.step)?)?;
        Some((Timestamp::from_microsecond(last).ok()?, more + 1))
    }

    fn at(self, n: i64) -> Option<Timestamp> {
        let micros = n.checked_mul(self.step)?.checked_add(self.anchor)?;
        Timestamp::from_microsecond(micros).ok()
    }
}

/// Steps on the calendar of a zone: months are clamped to their ends, days are as long as the zone makes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CalendarEvery {
    /// What occurrence 0 is, where the user named it: its wall-clock time may stand for two instants.
    start: Option<Timestamp>,
    anchor: DateTime,
    step: CalendarStep,
    wall: Wall,
    turns: Turns,
}

pub(crate) const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// An estimate of n is off by less than this. Over a whole calendar cycle, months drift from their mean by less than 6
/// days, and have 28 at least; without months, what drifts is offsets, by 2 days at most, and a step has 1 at least.
const ESTIMATE_ERROR: i64 = 4;

/// A rule that meets so many days off in a row is over: with steps of a day or more, nothing else has such runs.
const MOST_OFF_IN_A_ROW: u32 = 5_000;

const DAY_MICROS: i64 = 86_400 * 1_000_000;
/// A 4800th of the 146097 days in which the calendar repeats.
const MEAN_MONTH_MICROS: i64 = 146_097 * DAY_MICROS / 4_800;

impl CalendarEvery {
    /// Counts from what the wall clock shows at the start.
    pub(crate) fn new(
        (start, anchor): (Option<Timestamp>, DateTime),
        step: CalendarStep,
        wall: Wall,
        turns: Turns,
    ) -> Self {
        Self { start, anchor, step, wall, turns }
    }

    pub(crate) fn next(
        &self,
        zone: &TimeZone,
        business: Option<&Business>,
        after: Timestamp,
    ) -> Option<Timestamp> {
        self.next_numbered(zone, business, after).map(|(_, next)| next)
    }

    /// The first occurrence after that instant, with its number.
    ///
    /// A step on the calendar keeps the time of day, so that moving days keeps the order of occurrences, and all that one run
    /// of days off moves past an instant end up on one moment: the last before that instant stands for them.
    pub(crate) fn next_numbered(
        &self,
        zone: &TimeZone,
        business: Option<&Business>,
        after: Timestamp,
    ) -> Option<(i64, Timestamp)> {
        let elapsed = zone.to_datetime(after).duration_since(self.anchor).as_micros();
        let estimate = i64::try_from(elapsed.div_euclid(self.mean_step_micros())).ok()?;
        let estimated = estimate + ESTIMATE_ERROR;
        let mut n = self.turns.from(estimate - ESTIMATE_ERROR)?;
        let mut off_in_a_row = 0;
        loop {
            match self.civil(n) {
                Some(civil) => {
                    let day = business.map_or(Some(civil.date()), |business| business.day_for(civil.date()));
                    let found = day.and_then(|day| self.first_after(zone, civil, day, n, after));
                    if let Some(found) = found {
                        return Some((n, found));
                    }
                    off_in_a_row = if day.is_none() { off_in_a_row + 1 } else { 0 };
                    if off_in_a_row > MOST_OFF_IN_A_ROW {
                        return None;
                    }
                }
                // Too low an estimate lies before the first year there is; what follows may not.
                None if n < estimated.min(0) => {}
                None => return None,
            }
            n = self.turns.from(n + 1)?;
        }
    }

    fn mean_step_micros(&self) -> i128 {
        i128::from(self.step.months * MEAN_MONTH_MICROS + self.step.days * DAY_MICROS)
            + self.step.time.as_micros()
    }

    /// The wall-clock time of the n-th occurrence, before its elapsed part is added and a calendar moves it.
    pub(crate) fn civil(&self, n: i64) -> Option<DateTime> {
        let months = Span::new().try_months(n.checked_mul(self.step.months)?).ok()?;
        let days = n.checked_mul(self.step.days)?;
        self.anchor.checked_add(months.try_days(days).ok()?).ok()
    }

    /// Whether a short month made the n-th occurrence come on an earlier day than the first.
    pub(crate) fn is_clamped(&self, n: i64) -> Option<i8> {
        let wanted = self.anchor.day();
        let found = self.civil(n)?;
        (self.step.days == 0 && found.day() < wanted).then_some(wanted)
    }

    /// Whether the n-th occurrence is read off the wall clock: not if its start was given as an instant, or if elapsed time is
    /// part of the step.
    pub(crate) fn is_on_the_wall_clock(&self, n: i64) -> bool {
        self.step.time.is_zero() && !(n == 0 && self.start.is_some())
    }

    fn first_after(
        &self,
        zone: &TimeZone,
        civil: DateTime,
        day: Date,
        n: i64,
        after: Timestamp,
    ) -> Option<Timestamp> {
        let micros = self.step.time.as_micros().checked_mul(n.into())?;
        let time = SignedDuration::try_from_micros_i128(micros)?;
        let later = |instant: Timestamp| instant.checked_add(time).ok().filter(|instant| *instant > after);
        if let (Some(start), 0, true) = (self.start, n, day == civil.date()) {
            return later(start);
        }
        match self.wall.instants(zone, day.to_datetime(civil.time())) {
            Instants::None => None,
            Instants::One(instant) => later(instant),
            Instants::Two(first, second) => later(first).or_else(|| later(second)),
        }
    }
}

/// Occurrences have whole microseconds.
fn just_before(instant: Timestamp) -> Timestamp {
    instant.checked_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN)
}

/// jiff gives fractions the sign of the instant, and so rounds towards the epoch.
fn floor_micros(at: Timestamp) -> i64 {
    let finer = at.subsec_nanosecond() % 1_000;
    if finer < 0 { at.as_microsecond() - 1 } else { at.as_microsecond() }
}
