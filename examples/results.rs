//! A typed result: what the handler returns is what the publisher gets.
//!
//! ```sh
//! cargo run --example results
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use serde::{Deserialize, Serialize};
use upbeat::config::Config;
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "billing.invoice", queue = "billing", output = Receipt)]
struct Invoice {
    customer: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    number: String,
}

async fn send_invoice(invoice: Invoice) -> Result<Receipt, Error> {
    Ok(Receipt { number: format!("2026-{}", invoice.customer) })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Broker and ledger are an SQLite file in `.upbeat`.
    let upbeat = App::new().task(send_invoice).up().config(Config::default()).start().await?;

    let invoice = upbeat.client().publish(Invoice { customer: 7 }).await?;
    let receipt = invoice.result().await?;

    println!("invoice {} was sent", receipt.number);
    assert_eq!(receipt, Receipt { number: "2026-7".to_owned() });
    upbeat.stop().await?;
    Ok(())
}
