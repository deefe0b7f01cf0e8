//! One entry of a calendar: a weekday, a day of every year, a date, or a range of dates.
//! Never knows which entries stand beside it.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};

use crate::error::TimingError;
use crate::instant::{Moment, parse_moment};

/// Days off, as a person writes them: `saturday`, `12-25`, `2026-04-03` or `2026-12-28/2026-12-31`.
///
/// ```
/// # use upbeat_schedule::DayOff;
/// let christmas: DayOff = "12-25".parse()?;
/// assert_eq!(christmas.to_string(), "12-25");
/// assert!("13-25".parse::<DayOff>().is_err());
/// # Ok::<(), upbeat_schedule::TimingError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DayOff {
    /// Every week.
    Weekly(Weekday),
    /// Every year. The 29th of February is off in leap years.
    Yearly {
        /// 1 to 12.
        month: i8,
        /// 1 to 31.
        day: i8,
    },
    /// Once: from the first date to the last, both included.
    Dates {
        /// The first day off.
        first: Date,
        /// The last; the same where there is one.
        last: Date,
    },
}

const FORMS: &str = "days off are written as `saturday`, `12-25` (every year), `2026-04-03` or \
                     `2026-12-28/2026-12-31`";

/// A longer range is mostly a mistyped year.
const LONGEST_RANGE_DAYS: i32 = 366;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

impl FromStr for DayOff {
    type Err = TimingError;

    fn from_str(text: &str) -> Result<Self, TimingError> {
        let word = text.trim();
        if word.starts_with(|c: char| c.is_alphabetic()) {
            return weekday(text, word);
        }
        match word.split_once('/') {
            Some((first, last)) => range(text, first, last),
            None if is_yearly(word) => yearly(text, word),
            None => {
                let date = date(text)?;
                Ok(Self::Dates { first: date, last: date })
            }
        }
    }
}

impl fmt::Display for DayOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weekly(weekday) => f.write_str(weekday_name(*weekday)),
            Self::Yearly { month, day } => write!(f, "{month:02}-{day:02}"),
            Self::Dates { first, last } if first == last => write!(f, "{first}"),
            Self::Dates { first, last } => write!(f, "{first}/{last}"),
        }
    }
}

impl TryFrom<String> for DayOff {
    type Error = TimingError;

    fn try_from(text: String) -> Result<Self, TimingError> {
        text.parse()
    }
}

impl From<DayOff> for String {
    fn from(day: DayOff) -> Self {
        day.to_string()
    }
}

pub(crate) fn weekday_name(weekday: Weekday) -> &'static str {
    WEEKDAYS.iter().find(|(_, each)| *each == weekday).map_or("", |(name, _)| name)
}

/// The whole name or its first three letters, in any case.
fn weekday(text: &str, word: &str) -> Result<DayOff, TimingError> {
    let lower = word.to_lowercase();
    if let Some((_, weekday)) = WEEKDAYS.iter().find(|(name, _)| *name == lower || name[..3] == *lower) {
        return Ok(DayOff::Weekly(*weekday));
    }
    let nearest = WEEKDAYS
        .iter()
        .map(|(name, _)| (strsim::normalized_damerau_levenshtein(&lower, name), name))
        .filter(|(similarity, _)| *similarity > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let error = TimingError::whole(text, format!("`{word}` is not a weekday"));
    Err(match nearest {
        Some((_, name)) => error.help(format!("did you mean `{name}`?")),
        None => error.help(FORMS),
    })
}

/// `12-25`: two groups of digits, where a date has three.
fn is_yearly(word: &str) -> bool {
    let mut parts = word.split('-');
    let digits =
        |part: Option<&str>| part.is_some_and(|part| (1..=2).contains(&part.len()) && all_digits(part));
    digits(parts.next()) && digits(parts.next()) && parts.next().is_none()
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn yearly(text: &str, word: &str) -> Result<DayOff, TimingError> {
    // A leap year, so that the 29th of February can be written.
    let date = word.split_once('-').and_then(|(month, day)| {
        let (month, day) = (month.parse().ok()?, day.parse().ok()?);
        Date::new(2000, month, day).ok()
    });
    match date {
        Some(date) => Ok(DayOff::Yearly { month: date.month(), day: date.day() }),
        None => Err(TimingError::whole(text, format!("no year has a day `{word}`"))
            .help("a day of every year is written as month-day: `12-25`")),
    }
}

fn range(text: &str, first: &str, last: &str) -> Result<DayOff, TimingError> {
    if is_yearly(first.trim()) && is_yearly(last.trim()) {
        return Err(TimingError::whole(text, "a range needs its years").help(FORMS));
    }
    let at = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    let first_date = date(first).map_err(|error| error.shifted(at(first)))?;
    let last_date = date(last).map_err(|error| error.shifted(at(last)))?;
    let days = (last_date - first_date).get_days();
    if days < 0 {
        return Err(TimingError::whole(text, "the range ends before it starts")
            .help(format!("did you mean `{last_date}/{first_date}`?")));
    }
    if days >= LONGEST_RANGE_DAYS {
        return Err(TimingError::whole(text, "this range is longer than a year")
            .help("pause a schedule that is to rest for so long, or end it with `ends`"));
    }
    Ok(DayOff::Dates { first: first_date, last: last_date })
}

fn date(text: &str) -> Result<Date, TimingError> {
    match parse_moment(text) {
        Ok(Moment::Date(date)) => Ok(date),
        Ok(_) => Err(TimingError::whole(text, "a day off has no time of day").help(FORMS)),
        Err(_) => Err(TimingError::whole(text, format!("`{}` is not a day", text.trim())).help(FORMS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, back) in [
            ("Saturday", "saturday"),
            ("sun", "sunday"),
            ("12-25", "12-25"),
            ("1-1", "01-01"),
            ("02-29", "02-29"),
            ("2026-04-03", "2026-04-03"),
            (" 2026-12-28/2026-12-31 ", "2026-12-28/2026-12-31"),
        ] {
            assert_eq!(text.parse::<DayOff>().expect(text).to_string(), back);
            assert_eq!(back.parse::<DayOff>(), text.parse());
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "satturday",
            "x",
            "13-01",
            "02-30",
            "2026-02-30",
            "2026-01-01T00:00",
            "2026",
            "12-24/12-26",
            "2026-12-31/2026-12-28",
            "2026-01-01/2028-01-01",
            "2026-01-01/",
            "/",
            "12-25-",
            "-12-25",
        ] {
            let error = text.parse::<DayOff>().expect_err(text);
            assert!(text.get(error.span.clone()).is_some(), "{text}: {error:?}");
        }
    }
}
