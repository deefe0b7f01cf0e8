//! Refuses an expression that can never fire, and says which field is to blame.
//! Never looks at zones: whether a change of clocks swallows every occurrence is `timetable`'s question.

use jiff::civil::Date;

use super::days::{Days, MonthDays, WeekDays};
use super::field::month_name;
use super::item::Piece;
use super::parse::Fields;
use super::pattern::Pattern;
use super::years::Years;
use crate::error::TimingError;

/// Where every search for a first occurrence starts; fields name no earlier year.
const FIRST: Date = Date::constant(1970, 1, 1);

pub(super) fn check(pattern: &Pattern, fields: &Fields) -> Result<(), TimingError> {
    if fires(pattern) {
        return Ok(());
    }
    let ever = Pattern { years: Years::All, ..pattern.clone() };
    if let (Some(year), true) = (fields.year, fires(&ever)) {
        return Err(no_such_year(year, &ever));
    }
    let by_date = only(&ever, ever.days.of_month.clone(), WeekDays::all());
    if !fires(&by_date) {
        return Err(no_such_date(fields.day_of_month, &ever));
    }
    let by_weekday = only(&ever, MonthDays::all(), ever.days.of_week.clone());
    let message = if fires(&by_weekday) {
        "this never fires: no day of the week named here falls on a day of the month named before"
    } else {
        "this never fires: no such day of the week comes in the months named"
    };
    Err(fields.day_of_week.fault(message))
}

fn fires(pattern: &Pattern) -> bool {
    pattern.date_from(FIRST).is_some()
}

fn only(pattern: &Pattern, of_month: MonthDays, of_week: WeekDays) -> Pattern {
    let days = Days { of_month, of_week, both: true };
    Pattern { days, ..pattern.clone() }
}

fn no_such_year(year: Piece, ever: &Pattern) -> TimingError {
    let error = year.fault("this never fires: the other fields name no day in that year");
    let named = year.text.get(..4).and_then(|digits| digits.parse().ok());
    let from = named.and_then(|year| Date::new(year, 1, 1).ok()).unwrap_or(FIRST);
    match ever.date_from(from) {
        Some(date) => error.help(format!("such a day is {date}")),
        None => error,
    }
}

fn no_such_date(day_of_month: Piece, pattern: &Pattern) -> TimingError {
    let months: Vec<u32> = (1..=12).filter(|month| pattern.months >> month & 1 == 1).collect();
    let names: Vec<String> = months.iter().map(|month| month_name(*month)).collect();
    let longest = months.iter().map(|month| longest(*month)).max().unwrap_or(31);
    let verb = if names.len() == 1 { "has" } else { "have" };
    day_of_month
        .fault(format!("this never fires: {} {verb} at most {longest} days", listed(&names)))
        .help("the last day of a month is `L`")
}

/// The days of the month in a leap year.
fn longest(month: u32) -> i8 {
    let month = i8::try_from(month).unwrap_or(1);
    Date::new(2000, month, 1).map_or(31, Date::days_in_month)
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
