//! The seven fields of an expression: their limits and their names for people.
//! Never parses.

use std::ops::RangeInclusive;

/// A field, in the order of a seven-field expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
    Year,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// Short names besides the first three letters.
const ALSO: [(&str, u32); 4] = [("tues", 2), ("thur", 4), ("thurs", 4), ("sept", 9)];

impl Field {
    pub(super) const ALL: [Self; 7] =
        [Self::Second, Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek, Self::Year];

    /// The numbers a person may write. Sunday is 0 and 7.
    pub(super) fn written(self) -> RangeInclusive<u32> {
        match self {
            Self::DayOfWeek => 0..=7,
            _ => self.values(),
        }
    }

    /// The numbers that remain once Sunday has become 0.
    pub(super) fn values(self) -> RangeInclusive<u32> {
        match self {
            Self::Second | Self::Minute => 0..=59,
            Self::Hour => 0..=23,
            Self::DayOfMonth => 1..=31,
            Self::Month => 1..=12,
            Self::DayOfWeek => 0..=6,
            // No schedule was written before the epoch, and jiff ends with 9999.
            Self::Year => 1970..=9999,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of the month",
            Self::Month => "month",
            Self::DayOfWeek => "day of the week",
            Self::Year => "year",
        }
    }

    /// "25 is not an hour".
    pub(super) fn a_name(self) -> String {
        let article = if self == Self::Hour { "an" } else { "a" };
        format!("{article} {}", self.name())
    }

    /// What may be written, in a sentence.
    pub(super) fn allowed(self) -> String {
        match self {
            Self::Second => "seconds go from 0 to 59; cron knows no leap seconds".into(),
            Self::DayOfWeek => "days of the week go from 0 to 7 (0 and 7 are Sunday), or SUN to SAT".into(),
            Self::Month => "months go from 1 to 12, or JAN to DEC".into(),
            Self::DayOfMonth => "days of the month go from 1 to 31; L is the last".into(),
            _ => format!("{}s go from {} to {}", self.name(), self.written().start(), self.written().end()),
        }
    }

    /// Whether a range that ends before it starts has one plain meaning: through midnight, over the weekend, over New
    /// Year. In days of the month it would skip days that some months lack, and is more often a typing mistake.
    pub(super) fn wraps(self) -> bool {
        !matches!(self, Self::DayOfMonth | Self::Year)
    }

    /// The number of a month's or weekday's name, in any case.
    pub(super) fn number_of(self, name: &str) -> Option<u32> {
        let name = name.to_ascii_lowercase();
        self.names().find(|(known, _)| *known == name).map(|(_, number)| number)
    }

    /// Every accepted name, with its number.
    pub(super) fn names(self) -> impl Iterator<Item = (&'static str, u32)> {
        let (full, first): (&[&'static str], u32) = match self {
            Self::Month => (&MONTHS, 1),
            Self::DayOfWeek => (&WEEKDAYS, 0),
            _ => (&[], 0),
        };
        let also =
            ALSO.iter().copied().filter(move |(name, _)| full.iter().any(|known| known.starts_with(name)));
        let numbered = full.iter().copied().zip(first..);
        numbered.flat_map(|(name, number)| [(name, number), (&name[..3], number)]).chain(also)
    }
}

/// The English name of a month, for messages.
pub(super) fn month_name(month: u32) -> String {
    let name = (month as usize).checked_sub(1).and_then(|index| MONTHS.get(index)).copied().unwrap_or("?");
    capitalized(name)
}

/// The English name of a weekday, for messages. Sunday is 0 and 7.
pub(super) fn weekday_name(weekday: u32) -> String {
    capitalized(WEEKDAYS[(weekday % 7) as usize])
}

/// With a capital letter at the beginning.
pub(super) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
