//! For the tests of programs that use Upbeat.

pub mod golden;
