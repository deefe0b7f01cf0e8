//! What schedules mean, tested through the public interface alone.

mod against_oracle;
mod calendars;
mod contract;
mod crontabs;
mod dialect;
mod explaining;
mod forecasting;
mod generate;
mod ical;
mod oracle;
mod planning;
mod refusals;
mod repetitions;
mod steps;
mod surface;
