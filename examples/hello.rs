//! A program of your own: every subcommand of `upbeat`, with a task written in Rust.
//!
//! ```sh
//! cargo run --example hello -- up
//! cargo run --example hello -- publish hello --args '{"name": "you"}' --wait
//! ```

use upbeat::prelude::*;

#[derive(serde::Deserialize)]
struct Hello {
    name: String,
}

fn main() -> std::process::ExitCode {
    App::new()
        .task(native("hello", |args: Hello, _run| async move { Ok(format!("hello {}", args.name)) }))
        .main()
}
