//! The program under test: this very test binary, started again; and once more by its worker, for each suspect.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a suspect prints last is part of the tests"
)]

use std::path::Path;
use std::time::Duration;

use upbeat::prelude::*;
use upbeat::{App, native};
use upbeat_shared::client::NewTask;
use upbeat_shared::message::Payload;
use upbeat_tests::harness::enter;
use upbeat_tests::message::task_name;

/// The name of the test that becomes the program.
pub(super) const ENTRY: &str = "suspects::program::entry";

/// The file for which tasks wait that wait.
pub(super) const GATE: &str = "gate";

/// Not a test but a way in.
#[test]
fn entry() {
    enter(|args| app().run_cli(args));
}

/// Each writes its name, its task and its process into the journal. `abort` ends its process at once, `exit` does so politely;
/// `hold` waits for the gate, `finish` too and never fails, `block` too and blocks its thread; `tell` says how far it is,
/// publishes a `note`, waits for the gate and has a result; `panic` panics; `fail` fails; `wind` waits
/// for its soft timeout.
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
        .task(
            native("wind", |_: serde_json::Value, run: RunContext| async move {
                note("wind", &run);
                run.soft_timeout.cancelled().await;
                Ok(if run.cancel.is_cancelled() { "stopped" } else { "wound up" })
            })
            .soft_timeout(Duration::from_millis(200)),
        )
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
    while !Path::new(GATE).exists() {
        if run.cancel.is_cancelled() {
            note("told", run);
            return Err(Error::retry("told to stop"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn note(word: &str, run: &RunContext) {
    upbeat_tests::harness::note(format_args!("{word} {} {}", run.id(), std::process::id()));
}
