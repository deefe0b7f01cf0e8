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
    match parse_step(text, FORMS)? {
        Step::Fixed(duration) => Ok(duration),
        Step::Calendar(step) => Err(calendar(text, step)),
    }
}

/// Any duration that is not negative. `forms` says what may be written.
pub(crate) fn parse_step(text: &str, forms: &str) -> Result<Step, TimingError> {
    let span: Span = text.trim().parse().map_err(|_| not_a_duration(text, forms))?;
    if span.is_negative() {
        return Err(TimingError::whole(text, "a duration cannot be negative here").help(forms));
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

fn calendar(text: &str, step: CalendarStep) -> TimingError {
    let error = TimingError::whole(text, "days, weeks, months and years vary in length");
    match (step.months, step.days.checked_mul(24)) {
        (0, Some(hours)) if step.time.is_zero() => {
            error.help(format!("for a fixed time write hours: `{hours}h`"))
        }
        _ => error.help("for a fixed time write hours, minutes and seconds"),
    }
}

fn not_a_duration(text: &str, forms: &str) -> TimingError {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return TimingError::whole(text, "the duration is empty").help(forms);
    }
    if trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return TimingError::whole(text, "the unit is missing")
            .help(format!("write `{trimmed}s` for seconds"));
    }
    // jiff's own words are about its grammar; these forms tell a person more.
    TimingError::whole(text, format!("`{trimmed}` is not a duration")).help(forms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_durations_in_both_notations() {
        for (text, millis) in [
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("90 minutes", 5_400_000),
            ("PT15M", 900_000),
            ("PT1H0.5S", 3_600_500),
            ("250ms", 250),
            ("0s", 0),
            (" 5s ", 5_000),
            ("1000h", 3_600_000_000),
        ] {
            let expected = SignedDuration::from_millis(millis);
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
        assert_eq!(parse_duration("7us"), Ok(SignedDuration::from_micros(7)));
    }

    #[test]
    fn calendar_units_are_refused_where_time_is_fixed() {
        let help = |text| parse_duration(text).expect_err(text).help.unwrap_or_default();
        assert!(help("7d").contains("`168h`"));
        assert!(help("2 weeks").contains("`336h`"));
        for text in ["1mo", "P1M", "1 year", "P1Y", "1d 2h"] {
            assert!(help(text).contains("hours"), "{text}");
        }
    }

    #[test]
    fn calendar_steps_keep_their_units() {
        let expected = CalendarStep { months: 14, days: 17, time: SignedDuration::from_hours(5) };
        assert_eq!(parse_step("P1Y2M2W3DT5H", FORMS), Ok(Step::Calendar(expected)));
        assert_eq!(parse_step("1y 2mo 2w 3d 5h", FORMS), Ok(Step::Calendar(expected)));
    }
}
