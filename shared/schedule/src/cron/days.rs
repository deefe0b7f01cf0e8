//! Which days of a month an expression names, as a bit set per month.
//! Never looks at the time of day.

use jiff::civil::Date;

use super::field::Field;
use super::item::{self, Piece};
use crate::error::TimingError;

/// Bit `d` is the day `d` of the month; bit 0 is unused.
pub(crate) type DaySet = u32;

/// The two day fields together.
#[derive(Clone, Debug, Default)]
pub(super) struct Days {
    pub(super) of_month: MonthDays,
    pub(super) of_week: WeekDays,
    /// A day has to satisfy both fields; otherwise one is enough.
    pub(super) both: bool,
}

/// The day-of-month field.
#[derive(Clone, Debug, Default)]
pub(super) struct MonthDays {
    dates: DaySet,
    /// Bit `n` is the day `n` before the last: `L` is bit 0, `L-3` bit 3.
    before_last: u32,
    /// `LW`: the last Monday to Friday.
    last_weekday: bool,
    /// `15W`: the Monday to Friday nearest to that date, within the month.
    near: DaySet,
}

/// The day-of-week field. Bit 0 is Sunday.
#[derive(Clone, Debug, Default)]
pub(super) struct WeekDays {
    every: u8,
    /// `5#3`: at index 2, bit 5.
    nth: [u8; 5],
    /// `5L`: the last Friday.
    last: u8,
}

/// A month as the search needs it.
#[derive(Clone, Copy)]
pub(crate) struct Month {
    pub(crate) days: u32,
    /// The weekday of the first; Sunday is 0.
    first: u32,
}

impl Days {
    pub(super) fn in_month(&self, year: i16, month: i8) -> DaySet {
        let Some(month) = Month::of(year, month) else {
            return 0;
        };
        let (by_date, by_weekday) = (self.of_month.in_month(month), self.of_week.in_month(month));
        if self.both { by_date & by_weekday } else { by_date | by_weekday }
    }
}

impl MonthDays {
    /// No restriction.
    pub(super) fn all() -> Self {
        Self { dates: all_days(31), ..Self::default() }
    }

    pub(super) fn parse(field: Piece) -> Result<Self, TimingError> {
        if field.text == "?" {
            return Ok(Self::all());
        }
        let mut days = Self::default();
        for item in field.split(',') {
            days.add(item)?;
        }
        Ok(days)
    }

    fn add(&mut self, item: Piece) -> Result<(), TimingError> {
        let upper = item.text.to_ascii_uppercase();
        match upper.as_str() {
            "L" => self.before_last |= 1,
            "LW" | "WL" => self.last_weekday = true,
            text if text.starts_with("L-") => self.before_last |= 1 << before_last(item)?,
            text if text.ends_with('W') => {
                let date = item.without_end(1);
                let day = item::value(Field::DayOfMonth, date).map_err(|_| {
                    item.fault(format!("`{}` is not understood", item.text))
                        .help("W follows one day: `15W` is the weekday nearest to the 15th, `LW` the last of the month")
                })?;
                self.near |= 1 << day;
            }
            _ => {
                for day in item::numbers(Field::DayOfMonth, item)? {
                    self.dates |= 1 << day;
                }
            }
        }
        Ok(())
    }

    fn in_month(&self, month: Month) -> DaySet {
        let mut set = self.dates & all_days(month.days);
        for before in bits(self.before_last) {
            set |= 1 << (month.days - before);
        }
        if self.last_weekday {
            set |= 1 << month.nearest_weekday(month.days);
        }
        // A month without that date has no day near it either.
        for day in bits(self.near & all_days(month.days)) {
            set |= 1 << month.nearest_weekday(day);
        }
        set
    }
}

impl WeekDays {
    /// No restriction.
    pub(super) fn all() -> Self {
        Self { every: 0x7F, ..Self::default() }
    }

    pub(super) fn parse(field: Piece) -> Result<Self, TimingError> {
        if field.text == "?" {
            return Ok(Self::all());
        }
        let mut days = Self::default();
        for item in field.split(',') {
            days.add(item)?;
        }
        Ok(days)
    }

    fn add(&mut self, item: Piece) -> Result<(), TimingError> {
        if let Some((day, nth)) = item.text.split_once('#') {
            let day = Piece { text: day, at: item.at };
            let weekday = item::value(Field::DayOfWeek, day)? % 7;
            let Some(index) = nth.parse::<usize>().ok().filter(|nth| (1..=5).contains(nth)) else {
                return Err(item
                    .fault(format!("`{}` is not understood", item.text))
                    .help("# is followed by 1 to 5: `5#3` is the third Friday"));
            };
            self.nth[index - 1] |= 1 << weekday;
        } else if let Some(day) = weekday_before_l(item)? {
            self.last |= 1 << day;
        } else {
            for weekday in item::numbers(Field::DayOfWeek, item)? {
                self.every |= 1 << weekday;
            }
        }
        Ok(())
    }

    fn in_month(&self, month: Month) -> DaySet {
        let mut set = month.weekdays(self.every);
        for (index, weekdays) in (0..).zip(self.nth) {
            if weekdays != 0 {
                set |= month.weekdays(weekdays) & (all_days(7) << (7 * index));
            }
        }
        if self.last != 0 {
            set |= month.weekdays(self.last) & (all_days(7) << (month.days - 7));
        }
        set
    }
}

impl Month {
    /// None in years that do not exist.
    pub(crate) fn of(year: i16, month: i8) -> Option<Self> {
        let first = Date::new(year, month, 1).ok()?;
        Some(Self {
            days: first.days_in_month().unsigned_abs().into(),
            first: first.weekday().to_sunday_zero_offset().unsigned_abs().into(),
        })
    }

    /// The days of the month that fall on these weekdays; bit 0 is Sunday.
    pub(crate) fn weekdays(self, weekdays: u8) -> DaySet {
        let week = u64::from(weekdays);
        // Turned so that bit 0 is the weekday of the first, then repeated for five weeks.
        let from_first = ((week >> self.first) | (week << (7 - self.first))) & 0x7F;
        let repeated = from_first * (1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28);
        u32::try_from((repeated << 1) & u64::from(all_days(self.days))).unwrap_or(0)
    }

    /// The Monday to Friday nearest to that day, without leaving the month.
    fn nearest_weekday(self, day: u32) -> u32 {
        match (self.first + day - 1) % 7 {
            6 if day == 1 => 3,
            6 => day - 1,
            0 if day == self.days => day - 2,
            0 => day + 1,
            _ => day,
        }
    }
}

/// The first so many days.
pub(crate) fn all_days(count: u32) -> DaySet {
    ((1 << count) - 1) << 1
}

fn bits(mut set: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros())?;
        set &= set - 1;
        Some(lowest)
    })
}

fn before_last(item: Piece) -> Result<u32, TimingError> {
    let number = item.text[2..].parse::<u32>().ok().filter(|days| (1..=27).contains(days));
    number.ok_or_else(|| {
        item.fault(format!("`{}` is not understood", item.text))
            .help("`L-3` is the third day before the last; every month has room for 1 to 27")
    })
}

/// `5L` or `FRIL`; a plain name that ends in an L is left alone.
fn weekday_before_l(item: Piece) -> Result<Option<u32>, TimingError> {
    if !item.text.ends_with(['l', 'L']) {
        return Ok(None);
    }
    let day = item.without_end(1);
    if day.text.is_empty() {
        return Err(item
            .fault("`L` alone has two readings in a day of the week")
            .help("the last Saturday of the month is `6L`, every Saturday is `6`"));
    }
    item::value(Field::DayOfWeek, day).map(|weekday| Some(weekday % 7))
}
