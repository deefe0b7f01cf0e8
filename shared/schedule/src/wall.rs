//! Where the times on a wall clock fall on the line of instants, gaps and folds included.
//! Never knows dates or patterns beyond asking for the next match.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cron::Pattern;

/// What becomes of a wall-clock time that a change of clocks removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// It runs once, at the first instant after the gap.
    #[default]
    RunAfter,
    /// It does not run that day.
    Skip,
}

/// What becomes of a wall-clock time that a change of clocks repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// It runs the first time.
    #[default]
    First,
    /// It runs the second time.
    Second,
    /// It runs both times.
    Both,
}

/// How wall-clock times become instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wall {
    pub(crate) gap: Gap,
    pub(crate) fold: Fold,
}

/// Offsets from UTC stay within 26 hours, so wall clocks never go back further than this.
const WIDEST_OFFSET_SECS: i64 = 26 * 3600;

/// The year 2100: no zone has changes of clocks after it that are listed singly, only such that follow a yearly rule.
const LAST_IRREGULAR_CHANGE_SECS: i64 = 4_102_444_800;

/// 400 years have 146097 days, which are whole weeks.
const CALENDAR_CYCLE_SECS: i64 = 146_097 * 86_400;

/// The instants, in order, that one wall-clock time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instants {
    None,
    One(Timestamp),
    Two(Timestamp, Timestamp),
}

impl Wall {
    /// An interval schedule: every matching time that exists, as often as it exists.
    pub(crate) const ELAPSED: Self = Self { gap: Gap::Skip, fold: Fold::Both };

    /// The first instant after `after` at which the wall clock matches, by these rules.
    pub(crate) fn next(self, pattern: &Pattern, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut at = floor_secs(after) + 1;
        let irregular = LAST_IRREGULAR_CHANGE_SECS.max(end_of_year_secs(pattern.last_own_year()));
        let mut horizon = at.max(irregular) + CALENDAR_CYCLE_SECS;
        let mut stretch = Stretch::around(zone, at)?;
        loop {
            if at > horizon {
                // Dates, weekdays and the rules for clocks have all come round without a match. Only
                // a year that is listed further on can still have one, if any year can.
                let every_year = pattern.in_other_years()?;
                self.next(&every_year, zone, Timestamp::from_second(at).ok()?)?;
                horizon = i64::MAX;
            }
            let candidate = match self.search(pattern, &stretch, at) {
                Found::At(secs) => return Timestamp::from_second(secs).ok(),
                Found::Later(candidate) => candidate,
            };
            let end = stretch.end;
            if end >= at.saturating_add(2 * WIDEST_OFFSET_SECS) {
                // From here on, no clock shows again what it showed at `at`, so nothing matches
                // until the candidate comes near: all changes before it can be passed over.
                let near = candidate? - WIDEST_OFFSET_SECS;
                if near > end {
                    at = near;
                    stretch = Stretch::around(zone, at)?;
                    continue;
                }
            }
            at = end;
            stretch = stretch.following(zone)?;
        }
    }

    /// Looks for the first match from `at` to the end of a stretch.
    fn search(self, pattern: &Pattern, stretch: &Stretch, at: i64) -> Found {
        if at == stretch.start && self.gap == Gap::RunAfter && stretch.removes(pattern) {
            return Found::At(at);
        }
        let mut from = at + stretch.offset;
        if self.fold == Fold::First && stretch.offset < stretch.offset_before {
            // What this stretch repeats has run already.
            from = from.max(stretch.start + stretch.offset_before);
        }
        let mut until = stretch.end.saturating_add(stretch.offset);
        if self.fold == Fold::Second && stretch.offset_after < stretch.offset {
            // What the next stretch repeats runs there.
            until = stretch.end + stretch.offset_after;
        }
        match next_local(pattern, from) {
            Some(local) if local < until => Found::At(local - stretch.offset),
            candidate => Found::Later(candidate),
        }
    }

    /// What one wall-clock time stands for. Precise to the second; smaller parts are kept.
    pub(crate) fn instants(self, zone: &TimeZone, civil: DateTime) -> Instants {
        let wall = zone.to_ambiguous_timestamp(civil);
        match wall.offset() {
            AmbiguousOffset::Unambiguous { .. } => wall.unambiguous().map_or(Instants::None, Instants::One),
            AmbiguousOffset::Gap { .. } => match self.gap {
                Gap::Skip => Instants::None,
                // The earlier reading of a time in the gap lies before the gap, and nothing lies in between.
                Gap::RunAfter => {
                    let end = wall.earlier().ok().and_then(|before| zone.following(before).next());
                    end.map_or(Instants::None, |end| Instants::One(end.timestamp()))
                }
            },
            AmbiguousOffset::Fold { .. } => match (self.fold, wall.earlier(), wall.later()) {
                (Fold::First, Ok(first), _) => Instants::One(first),
                (Fold::Second, _, Ok(second)) => Instants::One(second),
                (Fold::Both, Ok(first), Ok(second)) => Instants::Two(first, second),
                _ => Instants::None,
            },
        }
    }
}

enum Found {
    At(i64),
    /// Nothing here; the first match on the wall clock lies at this local second, if there is one.
    Later(Option<i64>),
}

/// The time between two changes of clocks, in seconds since the epoch.
#[derive(Debug)]
struct Stretch {
    start: i64,
    end: i64,
    offset: i64,
    offset_before: i64,
    offset_after: i64,
}

impl Stretch {
    /// The stretch that holds the second `at`; none at the end of time.
    fn around(zone: &TimeZone, at: i64) -> Option<Self> {
        let instant = Timestamp::from_second(at).ok()?;
        let offset = offset_secs(zone, instant);
        let just_after = instant.checked_add(SignedDuration::from_nanos(1)).unwrap_or(instant);
        let (start, offset_before) = match zone.preceding(just_after).next() {
            Some(change) => {
                let second = SignedDuration::from_secs(1);
                let before = change.timestamp().checked_sub(second).ok()?;
                (change.timestamp().as_second(), offset_secs(zone, before))
            }
            None => (i64::MIN, offset),
        };
        Some(Self::ending(zone, instant, start, offset_before, offset))
    }

    /// The stretch after this one; none at the end of time.
    fn following(&self, zone: &TimeZone) -> Option<Self> {
        let start = Timestamp::from_second(self.end).ok()?;
        Some(Self::ending(zone, start, self.end, self.offset, self.offset_after))
    }

    /// Finds the end of the stretch that holds an instant.
    fn ending(zone: &TimeZone, instant: Timestamp, start: i64, offset_before: i64, offset: i64) -> Self {
        let (end, offset_after) = match zone.following(instant).next() {
            Some(change) => (change.timestamp().as_second(), change.offset().seconds().into()),
            None => (i64::MAX, offset),
        };
        Self { start, end, offset, offset_before, offset_after }
    }

    /// Whether the gap before this stretch removes a matching time.
    fn removes(&self, pattern: &Pattern) -> bool {
        let gap = self.start + self.offset_before..self.start + self.offset;
        !gap.is_empty() && next_local(pattern, gap.start).is_some_and(|local| gap.contains(&local))
    }
}

/// The first time matching a pattern that a change of clocks at that instant removes.
pub(crate) fn removed_before(pattern: &Pattern, zone: &TimeZone, at: Timestamp) -> Option<DateTime> {
    let stretch = Stretch::around(zone, at.as_second()).filter(|stretch| stretch.start == at.as_second())?;
    let gap = stretch.start + stretch.offset_before..stretch.start + stretch.offset;
    let local = next_local(pattern, gap.start).filter(|local| gap.contains(local))?;
    EPOCH.checked_add(SignedDuration::from_secs(local)).ok()
}

fn offset_secs(zone: &TimeZone, at: Timestamp) -> i64 {
    zone.to_offset(at).seconds().into()
}

fn floor_secs(at: Timestamp) -> i64 {
    // jiff gives fractions the sign of the instant.
    if at.subsec_nanosecond() < 0 { at.as_second() - 1 } else { at.as_second() }
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Roughly, and never too early.
fn end_of_year_secs(year: i16) -> i64 {
    (i64::from(year) - 1969) * 366 * 86_400
}

/// The first match from a local second on; local seconds count from the epoch as if the clock showed UTC.
fn next_local(pattern: &Pattern, from: i64) -> Option<i64> {
    let civil = EPOCH.checked_add(SignedDuration::from_secs(from)).ok()?;
    let found = pattern.next_from(civil)?;
    Some(found.duration_since(EPOCH).as_secs())
}
