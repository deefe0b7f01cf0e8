//! Real servers: those that `tests/run` starts for all tests to share.

pub mod postgres;
