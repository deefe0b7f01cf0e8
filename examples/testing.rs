//! A test of tasks: no server, no sleep, and a month that passes in a moment.
//!
//! ```sh
//! cargo run --example testing --features testing
//! ```
//!
//! In a package of your own this is a test: `#[tokio::test]` stands over each function, and `Cargo.toml` has
//! `upbeat = { version = "…", features = ["testing"] }` under `[dev-dependencies]`.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::prelude::*;
use upbeat::testing::{RunFailed, World, assert_not_published, assert_published};

#[derive(Serialize, Deserialize, Task)]
#[task(name = "billing.invoice", queue = "billing", output = u64)]
struct Invoice {
    customer: u64,
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "billing.remind", queue = "billing")]
struct Remind {
    invoice: u64,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn send_invoice(task: Invoice, ctx: Context) -> Result<u64, Error> {
    if task.customer == 0 {
        return Err(Error::give_up("there is no customer 0"));
    }
    let invoice = 1000 + task.customer;
    ctx.client().publish(Remind { invoice }).delay(DAY * 14).await?;
    Ok(invoice)
}

async fn remind(_: Remind) -> Result<(), Error> {
    Ok(())
}

fn program() -> App {
    App::new().task(send_invoice).task(remind).schedule(Schedule::cron(
        "invoice.monthly",
        "0 9 1 * *",
        Invoice { customer: 7 },
    ))
}

async fn an_invoice_is_followed_by_a_reminder() {
    let world = World::new(program());
    let number = world.run(Invoice { customer: 5 }).await.expect("it succeeds");
    assert_published!(world, Remind { invoice } if *invoice == 1005, due_in = DAY * 14);
    assert_eq!(number, 1005);
}

async fn nobody_is_not_invoiced() {
    let world = World::new(program());
    let failed = world.run(Invoice { customer: 0 }).await.expect_err("it gives up");
    assert!(matches!(failed, RunFailed::Dead(error) if error.message == "there is no customer 0"));
    assert_not_published!(world, Remind { .. });
}

async fn a_month_has_an_invoice_and_its_reminder() {
    let world = World::new(program());
    let month = world.advance(DAY * 31).await.expect_runs(2).expect_all_succeeded();
    let days: Vec<_> = month.runs.iter().map(|run| format!("{} at {}", run.name, run.at)).collect();
    assert_eq!(days, ["billing.invoice at 2026-01-01T09:00:00Z", "billing.remind at 2026-01-15T09:00:00Z"]);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    an_invoice_is_followed_by_a_reminder().await;
    nobody_is_not_invoiced().await;
    a_month_has_an_invoice_and_its_reminder().await;
    println!("a month has passed, and every test");
}
