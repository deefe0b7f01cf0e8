//! The program under test: Upbeat with tasks that tell on themselves. It is this very test binary, started again.

use std::time::Duration;

use upbeat::prelude::*;
use upbeat::{App, native};
use upbeat_shared::client::NewTask;
use upbeat_shared::message::Payload;
use upbeat_tests::harness::{enter, note};
use upbeat_tests::message::task_name;

/// The name of the test that becomes the program.
pub(super) const ENTRY: &str = "production::program::entry";

/// Not a test but a way in.
#[test]
fn entry() {
    enter(|args| app().run_cli(args));
}

/// `work` ends at once; `nap` takes as many milliseconds as its argument says; `tick` belongs to a schedule; `relay`
/// publishes a `work`.
fn app() -> App {
    App::new()
        .task(native("work", |_: serde_json::Value, run: RunContext| async move {
            note(format_args!("work {} {} {}", run.id(), run.fence.0, std::process::id()));
            Ok(())
        }))
        .task(native("nap", |millis: u64, run: RunContext| async move {
            note(format_args!("begin {} {} {}", run.id(), run.fence.0, std::process::id()));
            tokio::time::sleep(Duration::from_millis(millis)).await;
            note(format_args!("end {} {} {}", run.id(), run.fence.0, std::process::id()));
            Ok(())
        }))
        .task(native("relay", |_: serde_json::Value, run: RunContext| async move {
            let client = run.client.as_ref().expect("a worker's runs have one");
            let args = Payload::json(&1).expect("a number is JSON");
            let published = client.publish(NewTask::new(task_name("work"), args)).await;
            Ok(published.map(drop)?)
        }))
        .task(native("tick", |_: serde_json::Value, run: RunContext| async move {
            let planned = run.message.occurrence.as_ref().expect("a schedule made it");
            note(format_args!("tick {}@{} {}", planned.schedule_id, planned.planned_at, run.id()));
            Ok(())
        }))
}
