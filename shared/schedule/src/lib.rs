//! Upbeat's pure time: what a schedule means and what fires when.
//!
//! A [`TimingSpec`] is what a user writes: a cron expression, a step or an instant, a zone, and rules for the hours that
//! clocks skip and repeat. Compiled it is a [`Timetable`], which answers what fires [next](Timetable::next). [`plan`]
//! turns a cursor and the present instant into the occurrences that are due, and those that were missed.
//!
//! Never performs I/O, never reads a clock and never waits: the same question has the same answer everywhere, on every
//! host and in every run. Zones come from the database that is [compiled in](tzdb_version).

mod catch_up;
mod cron;
mod duration;
mod error;
mod every;
mod instant;
mod jitter;
mod plan;
mod spec;
mod timetable;
mod wall;
mod zone;

pub use catch_up::{CatchUp, CatchUpPolicy, SkipReason, SkippedRange};
pub use duration::parse_duration;
pub use error::TimingError;
pub use instant::parse_instant;
pub use plan::{Plan, plan};
pub use spec::TimingSpec;
pub use timetable::Timetable;
pub use wall::{Fold, Gap};
pub use zone::{tzdb_version, zone, zone_names};
