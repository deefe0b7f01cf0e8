//! Whole clusters under faults that a seed draws, and crashes at every call that they make.

mod crashes;
mod storms;
