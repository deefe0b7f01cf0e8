//! For tests of programs with tasks: a whole world of Upbeat in memory, and a clock that only the test moves.
//!
//! Nothing is mocked. Tasks are published by the client, planned and promoted by the beat, claimed, run, settled and
//! acknowledged by the worker that run in production, over a broker and a ledger that are plain values. There is no server,
//! no sleep and no chance in it: thousands of tasks run in milliseconds, a year passes in less than a second, and the same
//! test gets the same ids. Worlds know nothing of each other, so tests run side by side.
//!
//! ```
//! use std::time::Duration;
//!
//! use serde::{Deserialize, Serialize};
//! use upbeat::prelude::*;
//! use upbeat::testing::{World, assert_published};
//!
//! #[derive(Serialize, Deserialize, Task)]
//! #[task(name = "billing.invoice", queue = "billing", output = u64)]
//! struct Invoice {
//!     customer: u64,
//! }
//!
//! #[derive(Serialize, Deserialize, Task)]
//! #[task(name = "billing.remind")]
//! struct Remind {
//!     invoice: u64,
//! }
//!
//! async fn invoice(task: Invoice, ctx: Context) -> Result<u64, Error> {
//!     let number = task.customer * 100;
//!     ctx.client().publish(Remind { invoice: number }).delay(Duration::from_hours(24)).await?;
//!     Ok(number)
//! }
//!
//! async fn remind(_: Remind) -> Result<(), Error> {
//!     Ok(())
//! }
//!
//! # fn program() -> App { App::new().task(invoice).task(remind) }
//! // In your tests: #[tokio::test]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let world = World::new(App::new().task(invoice).task(remind));
//!
//! world.client().publish(Invoice { customer: 7 }).await.unwrap();
//! world.drain().await.expect_all_succeeded();
//!
//! // A reminder waits for tomorrow …
//! assert_published!(world, Remind { invoice: 700 }, due_in = Duration::from_hours(24));
//! // … which is now.
//! world.advance(Duration::from_hours(24)).await.expect_all_succeeded();
//! # }
//! ```
//!
//! | to | use |
//! |---|---|
//! | run one task, and look at what it returns | [`World::run`] |
//! | run what was published, and what that publishes | [`World::drain`] |
//! | let time pass: delays, retries, schedules | [`World::advance`], [`World::advance_to`] |
//! | see what was published | [`assert_published!`](crate::assert_published), [`World::published`] |
//! | see what became of it | [`Drained`], [`World::tasks`], [`World::dead`], a handle's `result()` |
//! | run every task as it is published | [`World::inline`] |
//! | see that arguments of older programs can still be read | [`golden`] |
//!
//! A world belongs into a test of tokio: `#[tokio::test]` does, with one thread or several. What is not stepped through is
//! the time that handlers themselves wait: a handler that sleeps does sleep, unless the test pauses tokio's time
//! (`#[tokio::test(start_paused = true)]`).

#[cfg(all(feature = "testing", feature = "beat"))]
mod chance;
pub mod golden;
#[cfg(all(feature = "testing", feature = "beat"))]
mod simulation;
#[cfg(all(feature = "testing", feature = "beat"))]
mod world;

#[cfg(all(feature = "testing", feature = "beat"))]
pub use crate::{assert_not_published, assert_published};
#[cfg(all(feature = "testing", feature = "beat"))]
pub use simulation::{
    Crash, Fault, Publisher, SeenCall, SimulateOptions, Simulated, SimulatedRun, Unsound, seeds, simulate,
    try_simulate,
};
#[cfg(all(feature = "testing", feature = "beat"))]
pub use world::{Drained, Expectation, Outcome, Published, Run, RunFailed, World, WorldOptions};
