//! What Upbeat is tested with: clocks moved by hand, builders, one conformance suite a port, a harness for real
//! processes, and the container stack read as such. A library of tests: it panics where an expectation fails, and never ships.

pub mod clock;
pub mod compose;
pub mod conformance;
pub mod dice;
pub mod harness;
pub mod message;
pub mod mutation;
pub mod services;
pub mod simulation;
