//! Times and durations as people write and read them. Pure: the caller brings now.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Zoned};

/// An instant, or how far it lies from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// An instant.
    At(Timestamp),
    /// So long ago.
    Ago(Duration),
}

impl Moment {
    /// The instant.
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(duration) => upbeat_shared::clock::earlier(now, duration),
        }
    }
}

/// Reads `90s`, `5m`, `1h30m`, `2d`, `PT5M`. Days have 24 hours; months have no fixed length and are refused.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let example = "write it like 500ms, 90s, 5m, 1h30m or 2d";
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("it has no unit: did you mean {text}s?"));
    }
    let span: Span = text.parse().map_err(|_| format!("it is no duration: {example}"))?;
    let whole: SignedDuration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| "months and years have no fixed length: use days".to_owned())?;
    Duration::try_from(whole).map_err(|_| format!("it is negative: {example}"))
}

/// Reads an instant: RFC 3339, with or without an IANA zone, or a civil time, taken in this machine's zone.
pub(crate) fn parse_instant(text: &str) -> Result<Timestamp, String> {
    parse_instant_in(text, &TimeZone::system())
}

fn parse_instant_in(text: &str, local: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(at) = text.parse::<Zoned>() {
        return Ok(at.timestamp());
    }
    let example = "write it like 2026-05-01T12:00:00Z, or 2026-05-01T12:00 for this machine's zone";
    let civil: DateTime = text.parse().map_err(|_| format!("it is no instant: {example}"))?;
    let zoned = civil.to_zoned(local.clone()).map_err(|error| error.to_string())?;
    Ok(zoned.timestamp())
}

/// Reads an instant, or a duration that counts back from now.
pub(crate) fn parse_moment(text: &str) -> Result<Moment, String> {
    if let Ok(duration) = parse_duration(text) {
        return Ok(Moment::Ago(duration));
    }
    let found = parse_instant(text).map(Moment::At);
    found.map_err(|_| "it is neither a duration (1h, 2d) nor an instant (2026-05-01T12:00:00Z)".to_owned())
}

/// `3m ago`, `in 2h`, `now`: one unit, or two where the second still matters.
pub(crate) fn relative(now: Timestamp, at: Timestamp) -> String {
    let apart = at.duration_since(now);
    if apart.unsigned_abs() < Duration::from_secs(1) {
        return "now".to_owned();
    }
    let length = rough(apart.unsigned_abs());
    if apart.is_negative() { format!("{length} ago") } else { format!("in {length}") }
}

/// `450ms`, `2.4s`, `3m 20s`, `5h`, `12d`: as precise as a person wants it.
pub(crate) fn rough(length: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = length.as_secs();
    let two = |unit: u64, name: &str, small: u64, small_name: &str| match (seconds % unit) / small {
        0 => format!("{}{name}", seconds / unit),
        rest => format!("{}{name} {rest}{small_name}", seconds / unit),
    };
    match seconds {
        0 if length.as_millis() < 10 => format!("{:.1}ms", length.as_secs_f64() * 1000.0),
        0 => format!("{}ms", length.as_millis()),
        1..10 => format!("{:.1}s", length.as_secs_f64()),
        10..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => two(MINUTE, "m", 1, "s"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "m"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

/// An instant in this machine's zone and how far away it is: `2026-05-01T14:00:00+02:00 (3m ago)`.
pub(crate) fn local(now: Timestamp, at: Timestamp) -> String {
    format!("{} ({})", stamp(at, &TimeZone::system()), relative(now, at))
}

/// RFC 3339 with whole seconds, in a zone.
pub(crate) fn stamp(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = at.to_zoned(zone.clone());
    let form = if zoned.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    zoned.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("2d"), Ok(Duration::from_secs(2 * 86_400)));
        assert_eq!(parse_duration("PT5M"), Ok(Duration::from_secs(300)));
    }

    #[test]
    fn what_is_no_duration_says_what_one_looks_like() {
        assert_eq!(parse_duration("30").unwrap_err(), "it has no unit: did you mean 30s?");
        assert!(parse_duration("soon").unwrap_err().contains("90s"));
        assert!(parse_duration("").is_err());
        assert!(parse_duration("-5m").unwrap_err().contains("negative"));
        assert!(parse_duration("1mo").unwrap_err().contains("days"));
    }

    #[test]
    fn instants_are_read_with_an_offset_a_zone_or_in_the_local_one() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let noon = at("2026-05-01T10:00:00Z");
        assert_eq!(parse_instant_in("2026-05-01T10:00:00Z", &zone), Ok(noon));
        assert_eq!(parse_instant_in("2026-05-01T12:00:00+02:00", &zone), Ok(noon));
        assert_eq!(parse_instant_in("2026-05-01T19:00[Asia/Tokyo]", &zone), Ok(noon));
        assert_eq!(parse_instant_in("2026-05-01 12:00", &zone), Ok(noon));
        assert!(parse_instant_in("tomorrow", &zone).unwrap_err().contains("2026-05-01T12:00:00Z"));
    }

    #[test]
    fn relative_times_are_short() {
        let now = at("2026-05-01T12:00:00Z");
        let shown = |text| relative(now, at(text));
        assert_eq!(shown("2026-05-01T12:00:00.4Z"), "now");
        assert_eq!(shown("2026-05-01T11:59:56.5Z"), "3.5s ago");
        assert_eq!(shown("2026-05-01T12:03:20Z"), "in 3m 20s");
        assert_eq!(shown("2026-05-01T07:00:00Z"), "5h ago");
        assert_eq!(shown("2026-05-14T00:30:00Z"), "in 12d 12h");
    }
}
