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

fn main() -> std::process::ExitCode {
    App::new()
        .task(typed(|hello: Hello, run| async move {
            Ok(format!("hello {}, this is attempt {}", hello.name, run.attempt))
        }))
        .main()
}
