//! Inside a program that has more to do: its own runtime, its own signals, its own log.
//!
//! ```sh
//! cargo run --example inside
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use upbeat::config::Config;
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "resize", output = u32)]
struct Resize {
    width: u32,
}

async fn resize(task: Resize, ctx: Context) -> Result<u32, Error> {
    tokio::select! {
        // In time or not at all: a handler that is told to stop may put things in order first.
        () = ctx.cancelled() => Err("it was told to stop".into()),
        () = tokio::time::sleep(Duration::from_millis(100)) => Ok(task.width / 2),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Whatever ends your program cancels this: Ctrl-C, SIGTERM, a deadline.
    let shutdown = CancellationToken::new();

    // A beat and a worker as a task among yours; `.worker()` or `.beat()` alone where the other runs elsewhere.
    let upbeat = App::new().task(resize).up().config(Config::default()).start().await?;
    let client = upbeat.client();
    let roles = tokio::spawn(upbeat.until(shutdown.clone()));

    // Your own program: a web server that publishes, say.
    let resized = client.publish(Resize { width: 640 }).await?;
    println!("half of it is {}", resized.result().await?);

    // Takes no more work, finishes what runs, and ends.
    shutdown.cancel();
    roles.await??;
    Ok(())
}
