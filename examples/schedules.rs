//! Schedules in Rust, beside those of `upbeat.toml`, in the same catalog.
//!
//! ```sh
//! cargo run --example schedules -- up
//! cargo run --example schedules -- schedules list   # in another terminal
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "report")]
struct Report {
    all: bool,
}

async fn report(task: Report, ctx: Context) -> Result<String, Error> {
    let planned = ctx.planned().map(|planned| planned.planned_at);
    Ok(format!("a report of {}, planned at {planned:?}", if task.all { "everything" } else { "today" }))
}

fn main() -> std::process::ExitCode {
    App::new()
        .task(report)
        // At half past two in Berlin, also on the two nights when the clocks change.
        .schedule(
            Schedule::cron("report.nightly", "30 2 * * *", Report { all: true }).timezone("Europe/Berlin"),
        )
        // Every second, from this program's first start on; one that did not start within 5 seconds is left out.
        .schedule(
            Schedule::every("report.often", "1s", Report { all: false })
                .expires_after(Duration::from_secs(5)),
        )
        .main()
}
