//! Argument redaction: what must not stand in queues, records and dashboards is taken out before the publish, and put back
//! for the handler alone.
//!
//! ```sh
//! cargo run --example redaction
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use upbeat::client::{PublishError, PublishLayer, PublishNext, Published};
use upbeat::config::Config;
use upbeat::layer::{RunLayer, RunNext};
use upbeat::prelude::*;
use upbeat::worker::RunResult;

/// In a real program a secret store that publishers and workers share, or a key to encrypt with.
#[derive(Clone, Default)]
struct Vault(Arc<Mutex<HashMap<String, Value>>>);

/// The field that nobody else should see.
const FIELD: &str = "card";

impl PublishLayer for Vault {
    async fn publish(
        &self,
        mut tasks: Vec<NewTask>,
        next: PublishNext,
    ) -> Result<Vec<Published>, PublishError> {
        for task in &mut tasks {
            let unreadable = |error| PublishError::Invalid(format!("{}: {error}", task.name));
            let mut args: Value = task.args.decode().map_err(unreadable)?;
            if let Some(secret) = args.get_mut(FIELD) {
                let mut vault = self.0.lock().expect("nobody panics with it");
                let name = format!("card-{}", vault.len());
                vault.insert(name.clone(), secret.take());
                *secret = Value::String(name);
                task.args = Payload::json(&args).map_err(unreadable)?;
            }
        }
        next.publish(tasks).await
    }
}

impl RunLayer for Vault {
    async fn run(&self, run: RunContext, next: RunNext) -> RunResult {
        let mut args: Value = run.message.args.decode()?;
        if let Some(name) = args.get_mut(FIELD) {
            let known = name.as_str().and_then(|name| self.0.lock().ok()?.get(name).cloned());
            *name = known.ok_or("the vault does not know this card")?;
        }
        next.run(run.with_args(Payload::json(&args)?)).await
    }
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "charge", output = String)]
struct Charge {
    card: String,
    amount: u32,
}

async fn charge(task: Charge) -> Result<String, Error> {
    let end = task.card.len().saturating_sub(4);
    Ok(format!("charged {} to the card that ends in {}", task.amount, &task.card[end..]))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vault = Vault::default();
    let app = App::new().publish_layer(vault.clone()).layer(vault).task(charge);
    let upbeat = app.up().config(Config::default()).start().await?;

    let charge = Charge { card: "4111111111111111".to_owned(), amount: 7 };
    let published = upbeat.client().publish(charge).await?;
    println!("{}", published.result().await?);

    let record = published.record().await?.ok_or("it has just ended")?;
    println!("everybody else sees {}", record.message.args.to_json());
    assert_eq!(record.message.args.to_json()[FIELD], "card-0");

    upbeat.stop().await?;
    Ok(())
}
