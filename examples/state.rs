//! What handlers share: the program's state, or the part of it that a handler needs.
//!
//! ```sh
//! cargo run --example state
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use upbeat::config::Config;
use upbeat::prelude::*;

/// In a real program a pool of connections; cheap to clone.
#[derive(Clone, Default)]
struct Database(Arc<AtomicU64>);

#[derive(Clone, Default)]
struct State {
    database: Database,
    greeting: &'static str,
}

impl FromState<State> for Database {
    fn from_state(state: &State) -> Self {
        state.database.clone()
    }
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "greet", output = String)]
struct Greet {
    name: String,
}

async fn greet(task: Greet, ctx: Context<State>) -> Result<String, Error> {
    ctx.state().database.0.fetch_add(1, Ordering::Relaxed);
    Ok(format!("{} {}", ctx.state().greeting, task.name))
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "count", output = u64)]
struct Count;

/// Asks for the part that it needs, and can be used in any program that has one.
async fn count(_: Count, ctx: Context<Database>) -> Result<u64, Error> {
    Ok(ctx.state().0.load(Ordering::Relaxed))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let state = State { greeting: "hello", ..State::default() };
    let app = App::new().state(state).task(greet).task(count);
    let upbeat = app.up().config(Config::default()).start().await?;
    let client = upbeat.client();

    println!("{}", client.publish(Greet { name: "you".to_owned() }).await?.result().await?);
    assert_eq!(client.publish(Count).await?.result().await?, 1);

    upbeat.stop().await?;
    Ok(())
}
