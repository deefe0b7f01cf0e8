//! A program of your own: every subcommand of `upbeat`, with a task written in Rust.
//!
//! ```sh
//! cargo run --example hello -- up
//! cargo run --example hello -- publish hello --args '{"name": "you"}' --wait
//! ```

use serde::{Deserialize, Serialize};
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "hello", timeout = "10s", max_attempts = 3)]
struct Hello {
    name: String,
}

async fn hello(task: Hello, ctx: Context) -> Result<String, Error> {
    Ok(format!("hello {}, this is attempt {}", task.name, ctx.attempt()))
}

fn main() -> std::process::ExitCode {
    App::new().task(hello).main()
}
