//! A layer around every run: what goes wrong is reported, panics included, as with Sentry.
//!
//! ```sh
//! cargo run --example reporting
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use upbeat::config::Config;
use upbeat::layer::{RunLayer, RunNext};
use upbeat::prelude::*;
use upbeat::worker::RunResult;

/// Where reports go: in a real program, a client of the service.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    fn send(&self, report: String) {
        println!("reported: {report}");
        self.0.lock().expect("nobody panics with it").push(report);
    }
}

impl RunLayer for Reports {
    async fn run(&self, run: RunContext, next: RunNext) -> RunResult {
        let what = format!("{}, attempt {}", run.message.name, run.attempt);
        // Caught only to be told of: what becomes of the task is decided as if nobody had looked.
        match AssertUnwindSafe(next.run(run)).catch_unwind().await {
            Ok(Err(error)) => {
                self.send(format!("{what}: {error}"));
                Err(error)
            }
            Ok(result) => result,
            Err(panic) => {
                self.send(format!("{what}: it panicked"));
                std::panic::resume_unwind(panic)
            }
        }
    }
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "parse", max_attempts = 1, output = u32)]
struct Parse(String);

async fn parse(task: Parse) -> Result<u32, Error> {
    assert!(!task.0.is_empty(), "there is nothing to parse");
    Ok(task.0.parse()?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let reports = Reports::default();
    let app = App::new().layer(reports.clone()).task(parse);
    let upbeat = app.up().config(Config::default()).start().await?;
    let client = upbeat.client();

    assert_eq!(client.publish(Parse("7".to_owned())).await?.result().await?, 7);
    client.publish(Parse("seven".to_owned())).await?.result().await.expect_err("it is no number");
    client.publish(Parse(String::new())).await?.result().await.expect_err("it panics");
    upbeat.stop().await?;

    let reports = reports.0.lock().expect("nobody panics with it");
    assert_eq!(
        reports.as_slice(),
        ["parse, attempt 1: invalid digit found in string", "parse, attempt 1: it panicked"]
    );
    Ok(())
}
