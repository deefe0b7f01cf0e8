//! Instants as people write them: RFC 3339, with a zone in brackets, or a wall-clock time in the schedule's zone.
//! Never assumes a zone that nobody named.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::{DateTimeParser, Pieces};
use jiff::tz::TimeZone;

use crate::error::TimingError;
use crate::wall::{Fold, Gap, Instants, Wall};
use crate::zone;

const FORMS: &str = "instants are written as `2026-01-31T09:00:00Z`, `2026-01-31T09:00:00+01:00` or \
                     `2026-01-31T09:00[Europe/Berlin]`";

/// What a text says before the rules for gaps and folds are asked.
#[derive(Clone, Debug)]
pub(crate) enum Moment {
    Instant(Timestamp),
    /// A wall-clock time, and the zone in brackets if there is one.
    Civil(DateTime, Option<TimeZone>),
    Date(Date),
}

/// Reads an instant: RFC 3339, with a zone in brackets, or a wall-clock time in `zone`. Whole microseconds; a finer part is dropped.
///
/// A wall-clock time that a change of clocks removed is the first instant after the gap, one that it repeats is the
/// first of the two. A leap second (`:60`) is the second before it.
///
/// ```
/// # use upbeat_schedule::{parse_instant, zone};
/// let berlin = zone("Europe/Berlin").unwrap();
/// let instant = parse_instant("2026-01-31T09:00", Some(&berlin)).unwrap();
/// assert_eq!(instant, parse_instant("2026-01-31T08:00:00Z", None).unwrap());
/// ```
pub fn parse_instant(text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, TimingError> {
    let wall = Wall { gap: Gap::RunAfter, fold: Fold::First };
    match parse_moment(text)? {
        Moment::Instant(instant) => Ok(instant),
        Moment::Date(_) => Err(without_time(text)),
        Moment::Civil(civil, named) => {
            let Some(zone) = named.as_ref().or(zone) else {
                return Err(TimingError::whole(text, "this is a wall-clock time without a zone").help(
                    "append `Z` for UTC, an offset such as `+01:00`, or a zone such as `[Europe/Berlin]`",
                ));
            };
            match wall.instants(zone, civil) {
                Instants::One(instant) | Instants::Two(instant, _) => Ok(whole_micros(instant)),
                Instants::None => Err(out_of_range(text)),
            }
        }
    }
}

/// Reads a text without deciding what a wall-clock time means.
pub(crate) fn parse_moment(text: &str) -> Result<Moment, TimingError> {
    let trimmed = text.trim();
    let at = text.len() - text.trim_start().len();
    parse_trimmed(trimmed).map_err(|error| error.shifted(at))
}

pub(crate) fn without_time(text: &str) -> TimingError {
    TimingError::whole(text, "a date is not an instant").help(format!("add a time: `{}T09:00`", text.trim()))
}

pub(crate) fn out_of_range(text: &str) -> TimingError {
    TimingError::whole(text, "this lies outside of the years that have instants").help("years go up to 9999")
}

pub(crate) fn whole_micros(instant: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(instant.as_microsecond()).unwrap_or(instant)
}

/// What the text of an instant says about where it is: the zone in brackets, else its offset, of which `Z` is one.
pub(crate) fn own_zone(text: &str) -> Option<TimeZone> {
    let text = text.trim();
    if let Ok(Some(zone)) = named_zone(text) {
        return Some(zone);
    }
    let pieces = Pieces::parse(text).ok()?;
    if is_zulu(&pieces) { Some(TimeZone::UTC) } else { pieces.to_numeric_offset().map(TimeZone::fixed) }
}

fn parse_trimmed(text: &str) -> Result<Moment, TimingError> {
    let pieces = Pieces::parse(text).map_err(|_| not_an_instant(text))?;
    let named = named_zone(text)?;
    if pieces.to_numeric_offset().is_some() || is_zulu(&pieces) {
        return exact(text, named.is_some()).map(Moment::Instant);
    }
    match (pieces.time(), named) {
        (None, None) => Ok(Moment::Date(pieces.date())),
        (None, Some(_)) => Err(without_time(text)),
        (Some(time), named) => Ok(Moment::Civil(pieces.date().to_datetime(time), named)),
    }
}

fn is_zulu(pieces: &Pieces) -> bool {
    matches!(pieces.offset(), Some(jiff::fmt::temporal::PiecesOffset::Zulu))
}

/// The zone in brackets. Looked up here, so that an unknown one is refused with the nearest names.
fn named_zone(text: &str) -> Result<Option<TimeZone>, TimingError> {
    let Some((before, rest)) = text.split_once('[') else {
        return Ok(None);
    };
    let name = rest.split(']').next().unwrap_or(rest);
    let marked = name.trim_start_matches('!');
    let at = before.len() + 1 + (name.len() - marked.len());
    zone::zone(marked).map(Some).map_err(|error| error.shifted(at))
}

fn exact(text: &str, zoned: bool) -> Result<Timestamp, TimingError> {
    let parser = DateTimeParser::new();
    if !zoned {
        let instant = parser.parse_timestamp(text).map_err(|_| out_of_range(text))?;
        return Ok(whole_micros(instant));
    }
    let instant = parser.parse_zoned_with(zone::database(), text).map_err(|_| {
        TimingError::whole(text, "the offset is not the one that this zone has at that time")
            .help("leave out the offset, or correct it")
    })?;
    Ok(whole_micros(instant.timestamp()))
}

fn not_an_instant(text: &str) -> TimingError {
    if text.is_empty() {
        return TimingError::whole(text, "the instant is empty").help(FORMS);
    }
    TimingError::whole(text, format!("`{text}` is not an instant")).help(FORMS)
}
