//! Tasks written in Rust: this program is `upbeat` with two tasks of its own.
//!
//! ```text
//! cargo run --example native -- up
//! cargo run --example native -- publish greet --args '{"name": "world"}' --wait
//! cargo run --example native -- publish add --args '[1, 2]' --wait
//! ```

use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use upbeat::prelude::*;

#[derive(Deserialize)]
struct Greet {
    name: String,
}

fn main() -> ExitCode {
    App::new()
        .task(native("greet", |greet: Greet, run| async move {
            Ok(format!("hello {}, this is attempt {}", greet.name, run.attempt))
        }))
        .task(
            native("add", |(a, b): (i64, i64), _run| async move { Ok(a + b) })
                .timeout(Duration::from_secs(5)),
        )
        .main()
}
