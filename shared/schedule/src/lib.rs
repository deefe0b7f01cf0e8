//! Upbeat's pure time: what a schedule means and what fires when.
//!
//! A [`TimingSpec`] is what a user writes: a cron expression, a step or an instant, a zone, and rules for the hours that
//! clocks skip and repeat. Compiled it is a [`Timetable`], which answers what fires [next](Timetable::next). [`plan`]
//! turns a cursor and the present instant into the occurrences that are due, and those that were missed.
//!
//! # The cron dialect
//!
//! | written | meaning |
//! |---|---|
//! | 5 fields | minute, hour, day of the month, month, day of the week |
//! | 6, 7 fields | seconds first; years (1970 to 9999) last |
//! | `@hourly @daily @midnight @weekly @monthly @yearly @annually` | as in every crontab |
//! | `@every 90s` | the same as `every = "90s"` |
//! | `*`, `7`, `1,5`, `1-5`, `*/5`, `10-50/10` | as in every crontab |
//! | `5/20` | from 5 to the field's end in steps of 20 |
//! | `22-2`, `FRI-MON`, `NOV-FEB` | on past the field's end; not in days of the month and years |
//! | `JAN`, `january`, `MON`, `Tues` | names in any case; Sunday is 0 and 7 |
//! | `?` | the same as `*`, in a day field |
//! | `L`, `L-3`, `LW` | the last day of the month, the third before it, its last Monday to Friday |
//! | `15W` | the Monday to Friday nearest to the 15th, within its month; a month without that day is passed over |
//! | `5#3`, `5L` | the third Friday, the last Friday |
//!
//! **Two day fields.** If both are restricted, either is enough: `0 0 13 * 5` is every 13th and every Friday. A field that
//! starts with `*` asks for both, as in Vixie cron: `0 0 */2 * 1` is the Mondays with an odd date. `dom_and_dow` always
//! asks for both.
//!
//! **Changes of clocks.** As in Debian's cron, an expression whose second, minute or hour starts with `*`, or with an open
//! step such as `0/30`, is an *interval*: it runs at every matching time that exists, in both passes of a repeated hour,
//! and never for a time that was skipped. Every other one has *fixed times*: a skipped time runs once, at the first
//! instant after the gap, and a repeated one once, at the first, unless [`Gap`] and [`Fold`] say otherwise. Two times that
//! a gap moves to the same instant are one occurrence.
//!
//! **Steps.** `15m` and `24h` are elapsed time; `1 day`, `P1M` and `1 year` are steps on the calendar of the zone. The n-th
//! occurrence is start + n × step, so the end of a short month does not shorten those after it.
//!
//! **Repetitions.** `R5/2026-01-31T09:00:00Z/P1M` fires five times, at start + n × duration; `R/` and `R-1/` repeat without
//! end. The zone or offset of the start is kept.
//!
//! **Calendars.** A [`Calendar`] is a named set of days off. An occurrence on one of them is skipped, and accounted for as
//! that, or moved to the next or previous day that is not off, at the same time of day ([`OnHoliday`]). Days are those of the
//! schedule's zone. Two occurrences that end up on one moment are one.
//!
//! # What it never does
//!
//! Never performs I/O, never reads a clock and never waits: the same question has the same answer everywhere, on every
//! host and in every run. Zones come from the database that is [compiled in](tzdb_version).

mod calendar;
mod catch_up;
mod cron;
mod duration;
mod error;
mod every;
mod explain;
mod forecast;
mod instant;
mod jitter;
mod plan;
mod repeat;
mod spec;
mod timetable;
mod wall;
mod zone;

pub use calendar::{Calendar, DayOff, OnHoliday};
pub use catch_up::{CatchUp, CatchUpPolicy, SkipReason, SkippedRange};
pub use duration::parse_duration;
pub use error::TimingError;
pub use explain::{Explanation, Fire, Shift, explain};
pub use forecast::{Forecast, Stampede, forecast};
pub use instant::parse_instant;
pub use plan::{Plan, plan};
pub use spec::TimingSpec;
pub use timetable::{Planned, Timetable};
pub use wall::{Fold, Gap};
pub use zone::{tzdb_version, zone, zone_names};
