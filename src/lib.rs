//! Upbeat: a task broker and worker pool. Schedules and tasks that can prove they ran once.
//!
//! A beat turns time into messages, workers turn messages into finished work, and a ledger remembers what has been done,
//! so that a task runs once however often it is published or delivered. With nothing installed, all of it runs in one
//! process on an SQLite file; in production the same program runs on RabbitMQ and Postgres.
//!
//! # A program of your own
//!
//! A task is a type, its handler a plain async function, and the program an [`App`] of handlers:
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use upbeat::prelude::*;
//!
//! #[derive(Serialize, Deserialize, Task)]
//! #[task(name = "billing.invoice", queue = "billing", timeout = "30s", max_attempts = 5, output = Receipt)]
//! struct Invoice {
//!     customer: u64,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Receipt {
//!     number: u64,
//! }
//!
//! #[derive(Clone)]
//! struct Billing { /* a pool, a client … */ }
//!
//! async fn send_invoice(invoice: Invoice, ctx: Context<Billing>) -> Result<Receipt, Error> {
//!     let _billing: &Billing = ctx.state();
//!     Ok(Receipt { number: invoice.customer * 1000 + u64::from(ctx.attempt()) })
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     App::new()
//!         .state(Billing {})
//!         .task(send_invoice)
//!         .schedule(Schedule::cron("invoice.monthly", "0 9 1 * *", Invoice { customer: 7 }))
//!         .main()
//! }
//! ```
//!
//! That program has every subcommand of `upbeat`: `./program up` runs everything, `./program worker` another worker,
//! `./program publish billing.invoice --args '{"customer": 7}' --wait` a task, `./program tasks list` shows what became of
//! it. Inside a tokio program that has more to do, [`App::up`], [`App::worker`] and [`App::beat`] start roles without
//! touching anything global.
//!
//! # Publishing
//!
//! ```no_run
//! # use serde::{Deserialize, Serialize};
//! # use upbeat::prelude::*;
//! # #[derive(Serialize, Deserialize, Task)]
//! # #[task(name = "billing.invoice", output = Receipt)]
//! # struct Invoice { customer: u64 }
//! # #[derive(Serialize, Deserialize)]
//! # struct Receipt { number: u64 }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! let client = upbeat::connect().await?; // as upbeat.toml and the environment say
//! let invoice = client.publish(Invoice { customer: 7 }).delay(Duration::from_secs(60)).dedup_id("may-7").await?;
//! let receipt = invoice.result().await?; // a Receipt, as the task's type says
//! println!("invoice {} is on its way", receipt.number);
//! # Ok(())
//! # }
//! ```
//!
//! When `publish` has answered, the task will reach *succeeded*, *dead*, *cancelled* or *expired*, whatever is killed or
//! unplugged meanwhile.
//!
//! # When a handler fails
//!
//! Any error ends in another attempt, as the retry policy says; a panic and a timeout, too. An [`Error`] says otherwise:
//!
//! | | |
//! |---|---|
//! | `Err(error.into())`, `?` | it failed: try again, as the retry policy says |
//! | [`Error::retry_after`] | it failed: try again after this delay |
//! | [`Error::snooze`] | not now: run it again later, and count no attempt |
//! | [`Error::give_up`] | it failed and always will: the task is dead, and kept with its arguments |
//! | [`Error::cancel`] | it need not be done any more |
//!
//! [`ResultExt`] says it at a `?`: `parse(&text).or_give_up()?`. An error with a code ([`Error::code`]) leaves it to the task, or to
//! its configuration: `on.card_declined = { give_up = true }`.
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `amqp` | RabbitMQ | yes |
//! | `management` | rates of queues, from RabbitMQ's management API | yes |
//! | `postgres` | the ledger on Postgres | yes |
//! | `redis` | the ledger on Redis or Valkey | yes |
//! | `embedded` | broker and ledger on one SQLite file; links a C library | yes |
//! | `worker` | [`App`], handlers, [`App::worker`] | yes |
//! | `beat` | schedules and promotion, [`App::beat`], [`App::up`]; with `worker` | yes |
//! | `cli` | the command line, [`App::main`], health and metrics endpoints; with `beat` | yes |
//! | `executor-command`, `executor-http` | tasks of the configuration that are programs or endpoints | yes |
//! | `testing` | [`testing`]: worlds in memory for the tests of a program; for `[dev-dependencies]` | no |
//!
//! A program that only publishes takes `default-features = false, features = ["amqp"]` (and `postgres` or `redis`, as its ledger is),
//! one that only works `["worker", "amqp", "postgres"]`.

#[cfg(feature = "worker")]
mod app;
#[cfg(feature = "cli")]
mod cli;
mod connect;
#[cfg(feature = "worker")]
mod executors;
#[cfg(feature = "cli")]
mod logging;
#[cfg(feature = "cli")]
mod ops;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "worker")]
mod roles;
#[cfg(feature = "embedded")]
pub mod sqlite;
mod stack;
#[cfg(feature = "worker")]
pub mod suspect;
#[cfg(any(feature = "testing", test))]
pub mod testing;

// What derives write names the crate as its users do.
#[cfg(test)]
extern crate self as upbeat;

#[cfg(feature = "worker")]
pub use app::{App, native};
#[cfg(feature = "beat")]
pub use app::{Schedule, ScheduleError};
pub use connect::{ConnectError, connect, connect_to};
#[cfg(feature = "worker")]
pub use executors::{RegistryError, registry};
#[cfg(feature = "worker")]
pub use roles::{RoleError, Roles, Running};
pub use stack::{OpenError, Stack};
#[cfg(feature = "beat")]
pub use upbeat_broker as broker;
/// The trait of typed tasks, and the derive that implements it.
pub use upbeat_derive::Task;
pub use upbeat_shared::client::{Client, NewTask, Publish, Publishable, TaskHandle};
pub use upbeat_shared::typed::{ArgsError, Returns, Task, Unsaid, Yields};
pub use upbeat_shared::{
    client, clock, config, hook, id, ledger, limit, member, message, name, occurrence, progress, reaction,
    retry, run, schedule, task, transport, typed, unique, verdict,
};
#[cfg(feature = "worker")]
pub use upbeat_worker as worker;
#[cfg(feature = "worker")]
pub use upbeat_worker::layer;
#[cfg(feature = "worker")]
pub use upbeat_worker::{
    Context, FromState, IntoTask, ResultExt, RunContext, TaskDefinition, TaskError as Error,
};

/// What programs with tasks of their own import.
pub mod prelude {
    #[cfg(feature = "beat")]
    pub use crate::Schedule;
    pub use crate::client::{Client, NewTask, TaskHandle};
    pub use crate::message::Payload;
    pub use crate::name::{QueueName, TaskKey, TaskName};
    pub use crate::retry::RetryPolicy;
    #[cfg(feature = "worker")]
    pub use crate::{
        App, Context, Error, FromState, ResultExt, RoleError, RunContext, TaskDefinition, native,
    };
    pub use crate::{Task, connect};
}

/// The README's Rust compiles, as what users copy must.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So does what the pages show that teach by example.
#[cfg(all(doctest, feature = "cli"))]
mod pages {
    #[doc = include_str!("../docs/tutorial.md")]
    struct Tutorial;
    #[doc = include_str!("../docs/cookbook.md")]
    struct Cookbook;
    #[doc = include_str!("../docs/coming-from.md")]
    struct ComingFrom;
    #[doc = include_str!("../docs/transactions.md")]
    struct Transactions;
    #[doc = include_str!("../docs/limits.md")]
    struct Limits;
}
