//! What Upbeat is tested with: clocks moved by hand, builders, one conformance suite a port, and a harness for real
//! processes. A library of tests: it panics where an expectation fails, and never ships.

pub mod clock;
pub mod conformance;
pub mod harness;
pub mod message;
pub mod services;
