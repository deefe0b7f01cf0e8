//! The cron dialect: what an expression means in civil time.
//! Knows dates and wall clocks; never a zone or an instant, which are `wall`'s.

mod days;
mod field;
mod item;
mod never;
mod ordinals;
mod parse;
mod pattern;
mod words;
mod years;

pub(crate) use days::{DaySet, Month, all_days};
pub(crate) use parse::{Cron, every_macro};
pub(crate) use pattern::Pattern;
pub(crate) use words::words;
