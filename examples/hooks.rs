//! Hooks: the program is told when a task is to be retried, and when it is dead.
//!
//! ```sh
//! cargo run --example hooks
//! ```
//!
//! Hooks are called beside the work and may be missed when a process dies. For a webhook that is not, no code is needed:
//! `[hooks.dead]` in `upbeat.toml`.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use upbeat::config::Config;
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "call", max_attempts = 2, output = ())]
struct Call;

async fn call(_: Call) -> Result<(), Error> {
    Err(Error::retry_after(Duration::from_millis(10), "nobody answers"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, mut told) = mpsc::channel(8);
    let (retries, deaths) = (tell.clone(), tell);
    let app = App::new()
        .task(call)
        .on_retry(move |retry| {
            let retries = retries.clone();
            async move {
                let said = format!("attempt {} failed: {}", retry.attempt, retry.error.message);
                // Nobody listens any more when the program ends.
                drop(retries.send(said).await);
            }
        })
        .on_dead(move |dead| {
            let deaths = deaths.clone();
            async move {
                let said = format!("{} is dead after {} attempts", dead.message.name, dead.attempts);
                drop(deaths.send(said).await);
            }
        });
    let upbeat = app.up().config(Config::default()).start().await?;

    upbeat.client().publish(Call).await?;
    for expected in ["attempt 1 failed: nobody answers", "call is dead after 2 attempts"] {
        let said = told.recv().await.ok_or("the hooks are gone")?;
        println!("{said}");
        assert_eq!(said, expected);
    }

    upbeat.stop().await?;
    Ok(())
}
