//! Transactional work from a program that knows nothing of Upbeat but a few SQL functions, here with sqlx.
//!
//! ```sh
//! DATABASE_URL=postgres://… cargo run -- order     # in this folder: takes an order, and publishes the task to charge it
//! ```
//!
//! ```toml
//! [tasks."shop.charge"]
//! command = ["…/sqlx-example", "charge"]
//! env = { DATABASE_URL = "postgres://…" }
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::error::Error;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut database = PgConnection::connect(&std::env::var("DATABASE_URL")?).await?;
    match std::env::args().nth(1).as_deref() {
        Some("charge") => charge(&mut database).await,
        _ => order(&mut database).await,
    }
}

/// The order and the task to charge it are committed together, or neither is.
async fn order(database: &mut PgConnection) -> Result<(), Box<dyn Error>> {
    let mut transaction = database.begin().await?;
    let insert = "insert into orders (account, cents) values (1, 250) returning id";
    let order: i64 = sqlx::query_scalar(insert).fetch_one(&mut *transaction).await?;
    let task: String =
        sqlx::query_scalar("select upbeat.publish('shop.charge', $1::jsonb, dedup_id => $2)::text")
            .bind(json!({ "order": order }).to_string())
            .bind(format!("order-{order}"))
            .fetch_one(&mut *transaction)
            .await?;
    // One report of all orders, an hour after the last of them: this one takes the place of one that waits.
    let report = "select id::text, duplicate_of from upbeat.publish_or_find('shop.report', delay => '1 hour',
        unique_key => 'report', replace => true)";
    let (report, running): (String, Option<String>) =
        sqlx::query_as(report).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    if running.is_none() {
        println!("the task {report} will report it");
    }
    println!("order {order} will be charged by the task {task}");
    Ok(())
}

/// The charge and the end of the task are committed together, or neither is.
async fn charge(database: &mut PgConnection) -> Result<(), Box<dyn Error>> {
    let task: Value = serde_json::from_reader(std::io::stdin())?;
    let mut transaction = database.begin().await?;
    let update = "update accounts set cents = accounts.cents - orders.cents from orders
        where orders.id = $1 and accounts.id = orders.account";
    sqlx::query(update).bind(task["order"].as_i64()).execute(&mut *transaction).await?;
    // Last of all: until the commit, workers may wait for this.
    sqlx::query("select upbeat.settle($1::text::uuid, $2, $3)")
        .bind(std::env::var("UPBEAT_TASK_ID")?)
        .bind(std::env::var("UPBEAT_FENCE")?.parse::<i64>()?)
        .bind(std::env::var("UPBEAT_TOKEN")?.parse::<i64>()?)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}
