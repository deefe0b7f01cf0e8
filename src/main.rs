//! The stock binary: an [`upbeat::App`] without handlers of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    upbeat::App::new().main()
}
