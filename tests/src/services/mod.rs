//! Real servers: those that `tests/run` starts for all tests to share, and private ones that a test may stop, kill and
//! starve.

pub mod amqp;
pub mod postgres;
pub mod redis;
mod server;

pub use server::{Kind, Server, compose, python};
