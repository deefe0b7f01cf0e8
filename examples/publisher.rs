//! A program that only publishes: no worker, no beat, `default-features = false`.
//!
//! ```sh
//! cargo run --example publisher
//! ```
//!
//! Tasks are types in a crate of their own, shared by publishers and workers; here, one is published by its name alone.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "billing.invoice", queue = "billing")]
struct Invoice {
    customer: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // As upbeat.toml and the environment say (UPBEAT_BROKER, UPBEAT_LEDGER); an SQLite file in `.upbeat` otherwise.
    let client = upbeat::connect().await?;

    // Later, and once: however often this program runs, customer 7 gets one invoice for May.
    let invoice = client
        .publish(Invoice { customer: 7 })
        .delay(Duration::from_secs(3600))
        .dedup_id("invoice-2026-05-7")
        .tag("tenant:acme")
        .await?;
    match invoice.duplicate_of() {
        None => println!("accepted as {}", invoice.id()),
        Some(state) => println!("accepted before, and {state} now: {}", invoice.id()),
    }

    // By name, for handlers in other programs or languages.
    let args = Payload::json(&serde_json::json!({ "customer": 8 }))?;
    let by_name = NewTask::new(TaskName::new("billing.invoice")?, args).queue(QueueName::new("billing")?);
    println!("accepted as {}", client.publish(by_name).delay(Duration::from_secs(3600)).await?.id());
    Ok(())
}
