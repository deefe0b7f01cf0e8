//! Upbeat under simulated faults: a program that does everything that tasks can do, and judges of its own beside the
//! simulator's.
//!
//! `storms` are histories of many faults drawn from a seed; `crashes` places one crash, or two, at every call that a path
//! makes, before it takes effect and after.

pub mod crashes;
mod judge;
mod program;
pub mod storms;

pub use program::{Does, Effects, Work};
