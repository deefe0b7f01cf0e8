//! The one file that knows the `cron` crate: it expands one range or step of one field into its numbers.
//! Never decides what they mean; the crate's own search, its years and its zones go unused.

use std::str::FromStr;

use cron::{Schedule, TimeUnitSpec};

use super::field::Field;

/// The numbers of `start-end/step` in this field, ascending. `end` is not before `start`.
///
/// The crate counts Sunday as 1 where a crontab counts it as 0, and ends with the year 2100, so years are counted here.
pub(super) fn expand(field: Field, start: u32, end: u32, step: u32) -> Result<Vec<u32>, String> {
    if field == Field::Year {
        return Ok((start..=end).step_by(step.max(1) as usize).collect());
    }
    let shift = u32::from(field == Field::DayOfWeek);
    let item = format!("{}-{}/{step}", start + shift, end + shift);
    let expression = Field::ALL[..6]
        .iter()
        .map(|each| if *each == field { item.as_str() } else { "*" })
        .collect::<Vec<_>>()
        .join(" ");
    let schedule = Schedule::from_str(&expression).map_err(|error| error.to_string())?;
    Ok(numbers(&schedule, field).into_iter().map(|number| number - shift).collect())
}

fn numbers(schedule: &Schedule, field: Field) -> Vec<u32> {
    match field {
        Field::Second => schedule.seconds().iter().collect(),
        Field::Minute => schedule.minutes().iter().collect(),
        Field::Hour => schedule.hours().iter().collect(),
        Field::DayOfMonth => schedule.days_of_month().iter().collect(),
        Field::Month => schedule.months().iter().collect(),
        Field::DayOfWeek => schedule.days_of_week().iter().collect(),
        Field::Year => schedule.years().iter().collect(),
    }
}
