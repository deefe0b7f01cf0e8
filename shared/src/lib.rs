//! Upbeat's vocabulary and its ports: what every role shares.
//!
//! Data flows one way: schedule → occurrence → message → claim → run → verdict → settle. This package names those
//! things, defines the ports through which they reach a broker ([`transport`]) and a dedup store ([`ledger`]), and
//! holds the adapters. It starts no process of its own: the beat lives in `upbeat-broker`, the worker in
//! `upbeat-worker`.

pub mod client;
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod hook;
pub mod id;
pub mod ledger;
pub mod limit;
pub mod member;
pub mod message;
pub mod name;
pub mod occurrence;
pub mod progress;
pub mod reaction;
pub mod retry;
pub mod run;
#[cfg(feature = "embedded")]
pub mod sqlite;
pub mod task;
pub mod telemetry;
#[cfg(any(feature = "amqp", feature = "postgres", feature = "redis"))]
mod tls;
pub mod transport;
pub mod typed;
pub mod unique;
pub mod verdict;

pub use upbeat_schedule as schedule;
