//! Upbeat's broker: time becomes messages, and can be looked at.
//!
//! The [`beat`] plans the occurrences of schedules, promotes what is due, and gives the tasks of lost workers to others.
//! Any number of beats may run: they share the work, and what two of them do twice does no harm. This package never
//! runs a task.

pub mod beat;

pub use beat::{
    ApplyReport, Beat, BeatError, BeatHealth, BeatOptions, Overridden, apply, occurrence_message,
};
#[cfg(feature = "testing")]
pub use beat::{BeatStep, BeatStepper};
