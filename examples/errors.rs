//! An error says what is to be done: try again, later, never.
//!
//! ```sh
//! cargo run --example errors
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::client::ResultError;
use upbeat::config::Config;
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "charge", max_attempts = 3, output = ())]
struct Charge {
    amount: String,
}

async fn charge(task: Charge, ctx: Context) -> Result<(), Error> {
    // No retry mends this: the task is dead at once, and kept to be looked at (`upbeat dead list`).
    let amount: u32 = task.amount.parse().or_give_up()?;
    if amount == 0 {
        return Err(Error::cancel("there is nothing to charge"));
    }
    // The other side says when: that long, if there are attempts left. A plain `?` takes the retry policy's delay, and
    // `Error::snooze` counts no attempt.
    if ctx.attempt() == 1 {
        return Err(Error::retry_after(Duration::from_millis(50), "the bank is busy"));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upbeat = App::new().task(charge).up().config(Config::default()).start().await?;
    let client = upbeat.client();
    let publish = async |amount: &str| client.publish(Charge { amount: amount.to_owned() }).await;

    let charged = publish("12").await?;
    charged.result().await?;
    let record = charged.record().await?.ok_or("it has just ended")?;
    println!("charged after {} failed attempt", record.message.attempts);

    let error = publish("twelve").await?.result().await.expect_err("twelve is no number");
    println!("{error}");
    assert!(matches!(error, ResultError::Dead { .. }));

    let error = publish("0").await?.result().await.expect_err("nothing is to be charged");
    println!("{error}");
    assert!(matches!(error, ResultError::Cancelled { .. }));

    upbeat.stop().await?;
    Ok(())
}
