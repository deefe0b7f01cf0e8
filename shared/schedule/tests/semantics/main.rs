//! What schedules mean, tested through the public interface alone.

mod against_oracle;
mod contract;
mod dialect;
mod generate;
mod oracle;
mod planning;
mod refusals;
mod repetitions;
mod steps;
mod surface;
