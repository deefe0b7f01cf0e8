//! Durations as people write them: `90s`, `1h 30m`, `PT15M`, `1 month`.
//! Never guesses a unit, and never takes a day for 24 hours.

use jiff::{SignedDuration, Span};

use crate::error::TimingError;

/// A step from one occurrence to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Elapsed time.
    Fixed(SignedDuration),
    /// A step on the calendar, whose length depends on where it starts.
    Calendar(CalendarStep),
}

/// Months, then days, then elapsed time; at least one of the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CalendarStep {
    pub(crate) months: i64,
    pub(crate) days: i64,
    pub(crate) time: SignedDuration,
}

const FORMS: &str = "durations are written as `90s`, `15m`, `1h 30m`, `250ms` or `PT15M`";

/// A length of time that is the same everywhere: `90s`, `15m`, `1h 30m`, `250ms`, `PT15M`. Not negative, whole microseconds.
///
/// Days, weeks, months and years are refused: their length depends on the date and the zone.
///
/// ```
/// # use upbeat_schedule::parse_duration;
/// assert_eq!(parse_duration("1h 30m").unwrap().as_secs(), 5400);
/// assert!(parse_duration("1d").unwrap_err().to_string().contains("24h"));
/// ```
pub fn parse_duration(text: &str) -> Result<SignedDuration, TimingError> {
    match parse_step(text)? {
        Step::Fixed(duration) => Ok(duration),
        Step::Calendar(_) => Err(TimingError::whole(text, "days, weeks, months and years vary in length")
            .help("for a fixed time write hours: a day is mostly `24h`")),
    }
}

/// Any duration that is not negative.
pub(crate) fn parse_step(text: &str) -> Result<Step, TimingError> {
    let span: Span = text.trim().parse().map_err(|error| not_a_duration(text, &error))?;
    if span.is_negative() {
        return Err(TimingError::whole(text, "a duration cannot be negative here").help(FORMS));
    }
    if span.get_nanoseconds() != 0 {
        return Err(TimingError::whole(text, "this is finer than a microsecond")
            .help("instants have whole microseconds"));
    }
    let time = elapsed(&span).ok_or_else(|| TimingError::whole(text, "this duration is too long"))?;
    let months = i64::from(span.get_years()) * 12 + i64::from(span.get_months());
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    if months == 0 && days == 0 {
        return Ok(Step::Fixed(time));
    }
    Ok(Step::Calendar(CalendarStep { months, days, time }))
}

fn elapsed(span: &Span) -> Option<SignedDuration> {
    SignedDuration::from_secs(i64::from(span.get_hours()) * 3600)
        .checked_add(SignedDuration::from_secs(span.get_minutes().checked_mul(60)?))?
        .checked_add(SignedDuration::from_secs(span.get_seconds()))?
        .checked_add(SignedDuration::from_millis(span.get_milliseconds()))?
        .checked_add(SignedDuration::from_micros(span.get_microseconds()))
}

fn not_a_duration(text: &str, error: &jiff::Error) -> TimingError {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return TimingError::whole(text, "the duration is empty").help(FORMS);
    }
    if trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return TimingError::whole(text, "the unit is missing")
            .help(format!("write `{trimmed}s` for seconds"));
    }
    // The last words of jiff's error are about its grammar; the forms below tell a person more.
    let _ = error;
    TimingError::whole(text, format!("`{trimmed}` is not a duration")).help(FORMS)
}
