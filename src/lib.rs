//! Upbeat: a task broker and worker pool. Schedules and tasks that can prove they ran once.
//!
//! A beat turns time into messages, workers turn messages into finished work, and a ledger remembers what has been done.
//! The `upbeat` binary runs every role. A program of your own becomes such a binary, with tasks written in Rust, through
//! an [`App`]:
//!
//! ```no_run
//! use upbeat::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Hello {
//!     name: String,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     App::new()
//!         .task(native("hello", |args: Hello, _run| async move { Ok(format!("hello {}", args.name)) }))
//!         .main()
//! }
//! ```
//!
//! `./program up` then runs everything, and `./program publish hello --args '{"name": "world"}' --wait` a task.
//!
//! Without the feature `cli` this is a library: [`Stack::open`] gives a [`Client`](client::Client) to publish with, and
//! the ports that the roles need.

mod app;
#[cfg(feature = "cli")]
mod cli;
mod executors;
#[cfg(feature = "cli")]
mod logging;
#[cfg(feature = "cli")]
mod ops;
mod stack;

pub use app::{App, native, typed};
pub use executors::{RegistryError, registry};
pub use stack::{OpenError, Stack};
pub use upbeat_broker as broker;
/// The trait of typed tasks, and the derive that implements it.
pub use upbeat_derive::Task;
#[cfg(feature = "embedded")]
pub use upbeat_shared::sqlite;
pub use upbeat_shared::typed::{ArgsError, Returns, Task, Unsaid, Yields};
pub use upbeat_shared::{
    client, clock, config, id, ledger, member, message, name, occurrence, retry, schedule, task, transport,
    typed, verdict,
};
pub use upbeat_worker as worker;

/// What programs with tasks of their own import.
pub mod prelude {
    pub use crate::Task;
    pub use crate::app::{App, native, typed};
    pub use crate::client::{Client, NewTask, Published};
    pub use crate::message::Payload;
    pub use crate::name::{QueueName, TaskName};
    pub use crate::retry::RetryPolicy;
    pub use crate::worker::{RunContext, TaskDefinition, TaskError};
}

/// The README's Rust compiles, as what users copy must.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
