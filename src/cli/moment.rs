//! Times and durations as people write and read them. Pure: the caller brings now.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use upbeat_shared::schedule;

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

/// Reads `90s`, `5m`, `1h 30m`, `PT5M`, as configuration files write durations.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = schedule::parse_duration(text).map_err(|error| error.to_string())?;
    Duration::try_from(duration).map_err(|error| error.to_string())
}

/// Reads an instant: RFC 3339, with or without an IANA zone, or a wall-clock time in this machine's zone.
pub(crate) fn parse_instant(text: &str) -> Result<Timestamp, String> {
    schedule::parse_instant(text, Some(&TimeZone::system())).map_err(|error| error.to_string())
}

/// Reads an instant, or a duration that counts back from now.
pub(crate) fn parse_moment(text: &str) -> Result<Moment, String> {
    if let Ok(duration) = parse_duration(text) {
        return Ok(Moment::Ago(duration));
    }
    let found = parse_instant(text).map(Moment::At);
    found.map_err(|_| "it is neither a duration (30m, 24h) nor an instant (2026-05-01T12:00:00Z)".to_owned())
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

/// RFC 3339 in a zone, with milliseconds unless the second is whole.
pub(crate) fn stamp(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = at.to_zoned(zone.clone());
    let form = match (zoned.subsec_nanosecond() == 0, zoned.offset().is_zero()) {
        (true, true) => "%Y-%m-%dT%H:%M:%SZ",
        (true, false) => "%Y-%m-%dT%H:%M:%S%:z",
        (false, true) => "%Y-%m-%dT%H:%M:%S%.3fZ",
        (false, false) => "%Y-%m-%dT%H:%M:%S%.3f%:z",
    };
    zoned.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_moment_is_an_instant_or_counts_back() {
        let now = at("2026-05-01T12:00:00Z");
        let resolve = |text| parse_moment(text).map(|moment| moment.resolve(now));
        assert_eq!(resolve("90m"), Ok(at("2026-05-01T10:30:00Z")));
        assert_eq!(resolve("2026-04-01T00:00:00+02:00"), Ok(at("2026-03-31T22:00:00Z")));
        assert!(resolve("yesterday").unwrap_err().contains("24h"));
    }

    #[test]
    fn a_duration_without_a_unit_is_refused() {
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert!(parse_duration("30").unwrap_err().contains("30s"));
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
