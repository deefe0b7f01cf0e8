//! Upbeat's worker: claims, runs, settles and acknowledges tasks. Never plans, never promotes: what has to happen later
//! goes on the agenda.
//!
//! One task's way through a worker:
//!
//! 1. A consumer (one a queue) takes its delivery and puts it into the queue's line.
//! 2. When it is its turn at a slot, it is read and claimed, together with what else is ready.
//! 3. Whoever got the claim runs as a task of its own, under its timeout. Its end becomes a verdict.
//! 4. Verdicts that are ready together are settled in the ledger, and only then acknowledged: a crash anywhere repeats
//!    work, it never loses any.
//!
//! The stages are joined by bounded channels, so that batches grow under load and stay at one while it is quiet.

pub mod executor;
mod health;
mod job;
pub mod layer;
mod member;
mod options;
#[cfg_attr(not(feature = "command"), allow(dead_code, reason = "commands need more of it than suspects"))]
mod process;
mod progress;
mod queues;
pub mod registry;
mod runtime;
#[cfg(feature = "testing")]
pub mod stepper;
pub mod suspect;
#[cfg(any(feature = "embedded", feature = "postgres"))]
pub mod transaction;
mod worker;

pub use executor::blocking::IntoBlockingTask;
pub use executor::native::{Context, FromState, IntoTask, NoState, Signature};
pub use executor::{Executor, ResultExt, RunContext, RunResult, TaskError};
pub use health::WorkerHealth;
pub use layer::{RunLayer, RunLayers, RunNext};
pub use options::{UnknownName, WorkerOptions};
pub use registry::{DuplicateName, Registry, TaskDefinition};
pub use worker::{Worker, WorkerError, WorkerReport};
