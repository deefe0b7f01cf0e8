//! Per-tenant context: a tag carries the tenant, a layer makes it known to whatever the handler calls.
//!
//! ```sh
//! cargo run --example tenants
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use serde::{Deserialize, Serialize};
use upbeat::client::{PublishError, PublishLayer, PublishNext, Published};
use upbeat::config::Config;
use upbeat::layer::{RunLayer, RunNext};
use upbeat::prelude::*;
use upbeat::worker::RunResult;

tokio::task_local! {
    /// Whose request, or whose task, this is.
    static TENANT: String;
}

const TAG: &str = "tenant:";

/// Outside: what is published for a tenant says so. `upbeat tasks list --tag tenant:acme` finds it.
struct Mark;

impl PublishLayer for Mark {
    async fn publish(
        &self,
        mut tasks: Vec<NewTask>,
        next: PublishNext,
    ) -> Result<Vec<Published>, PublishError> {
        let Ok(tenant) = TENANT.try_with(Clone::clone) else {
            return Err(PublishError::Invalid("nobody said for which tenant this is".to_owned()));
        };
        for task in &mut tasks {
            task.tags.push(format!("{TAG}{tenant}"));
        }
        next.publish(tasks).await
    }
}

/// Inside: the handler, and what it publishes, runs for that tenant.
struct Enter;

impl RunLayer for Enter {
    async fn run(&self, run: RunContext, next: RunNext) -> RunResult {
        let tenant = run.message.tags.iter().find_map(|tag| tag.strip_prefix(TAG)).map(str::to_owned);
        let Some(tenant) = tenant else {
            return Err(Error::give_up("it was published for no tenant"));
        };
        TENANT.scope(tenant, next.run(run)).await
    }
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "invoice", output = String)]
struct Invoice;

async fn invoice(_: Invoice) -> Result<String, Error> {
    Ok(format!("an invoice of {}", TENANT.get()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = App::new().publish_layer(Mark).layer(Enter).task(invoice);
    let upbeat = app.up().config(Config::default()).start().await?;
    let client = upbeat.client();

    // Where requests come in, their tenant is entered once.
    let published = TENANT.scope("acme".to_owned(), async { client.publish(Invoice).await }).await?;
    let said = published.result().await?;
    println!("{said}");
    assert_eq!(said, "an invoice of acme");

    let error = client.publish(Invoice).await.expect_err("it is for nobody");
    println!("{error}");

    upbeat.stop().await?;
    Ok(())
}
