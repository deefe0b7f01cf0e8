//! The program under test: this very test binary, started again; and once more by its worker, for each suspect.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a suspect prints last is part of the tests"
)]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use upbeat::prelude::*;
use upbeat::{App, native};
use upbeat_shared::client::NewTask;
use upbeat_shared::message::Payload;
use upbeat_tests::message::task_name;

/// What `upbeat` is to be called with, as JSON.
pub(super) const ARGS: &str = "UPBEAT_TEST_SUSPECTS";

/// The folder in which the tasks write their journal and look for their gate.
pub(super) const FOLDER: &str = "UPBEAT_TEST_SUSPECTS_FOLDER";

/// The name of the test that becomes the program.
pub(super) const ENTRY: &str = "suspects::program::entry";

/// Not a test but a way in: with [`ARGS`] in its environment, the process becomes the program.
#[test]
fn entry() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args: Vec<String> = serde_json::from_str(&args).expect("a list of texts");
    let ended = app().run_cli(std::iter::once("upbeat".to_owned()).chain(args));
    std::process::exit(i32::from(ended != ExitCode::SUCCESS));
}

/// Each writes its name, its task and its process into the journal. `abort` ends its process at once, `exit` does so politely;
/// `hold` waits for the gate, `finish` too and never fails, `block` too and blocks its thread; `tell` says how far it is, publishes a `note`, waits for the gate and has a result; `panic`
/// panics; `fail` fails.
fn app() -> App {
    App::new()
        .task(native("note", |_: serde_json::Value, run: RunContext| async move {
            note("note", &run);
            Ok(())
        }))
        .task(native("abort", |_: serde_json::Value, run: RunContext| async move {
            println!("on its way");
            note("abort", &run);
            eprintln!("the last words of {}", run.id());
            std::process::abort();
            #[allow(unreachable_code, reason = "the type of its result")]
            Ok(())
        }))
        .task(native("exit", |_: serde_json::Value, run: RunContext| async move {
            note("exit", &run);
            std::process::exit(0);
            #[allow(unreachable_code, reason = "the type of its result")]
            Ok(())
        }))
        .task(native("hold", |_: serde_json::Value, run: RunContext| async move {
            note("hold", &run);
            gate(&run).await
        }))
        .task(upbeat_worker::executor::blocking::blocking(
            task_name("block"),
            |_: serde_json::Value, run: RunContext| {
                note("block", &run);
                tokio::runtime::Handle::current().block_on(gate(&run))
            },
        ))
        .task(native("finish", |_: serde_json::Value, run: RunContext| async move {
            note("finish", &run);
            // It ends well, though it was told to stop.
            gate(&run).await.or(Ok::<(), Error>(()))
        }))
        .task(native("tell", |_: serde_json::Value, run: RunContext| async move {
            run.progress(1, Some(2), "half of it");
            let client = run.client.as_ref().expect("every run of a program has one");
            client.publish(NewTask::new(task_name("note"), Payload::json(&1).expect("a number"))).await?;
            note("tell", &run);
            gate(&run).await?;
            Ok(format!("attempt {}, crashes {}", run.attempt, run.crashes))
        }))
        .task(native("panic", |_: serde_json::Value, run: RunContext| async move {
            note("panic", &run);
            assert_eq!(run.attempt, 0, "no attempt is that early");
            Ok(())
        }))
        .task(native("fail", |_: serde_json::Value, run: RunContext| async move {
            note("fail", &run);
            Err::<(), _>(Error::give_up("it never will"))
        }))
}

/// Waits until the gate is open, or the run should stop.
async fn gate(run: &RunContext) -> Result<(), Error> {
    while !folder().join("gate").exists() {
        if run.cancel.is_cancelled() {
            note("told", run);
            return Err(Error::retry("told to stop"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn folder() -> PathBuf {
    std::env::var(FOLDER).expect("the scene names its folder").into()
}

/// One line, in one write: several processes append to the file.
fn note(word: &str, run: &RunContext) {
    let path = folder().join("journal");
    let mut file =
        OpenOptions::new().append(true).create(true).open(path).expect("the journal can be opened");
    let line = format!("{word} {} {}\n", run.id(), std::process::id());
    file.write_all(line.as_bytes()).expect("the journal can be written");
}
