//! Every example does what it says: one that is not told of here fails the first test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use upbeat_tests::harness::{World, eventually};

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Examples that end by themselves, and well only if what they show has happened; with something that they say.
const ENDING: [(&str, &str); 13] = [
    ("blocking", "there are 2262 primes"),
    ("errors", "charged after 1 failed attempt"),
    ("hooks", "call is dead after 2 attempts"),
    ("inside", "half of it is 320"),
    ("publisher", "accepted as "),
    ("redaction", "everybody else sees {\"amount\":7,\"card\":\"card-0\"}"),
    ("reporting", "reported: parse, attempt 1: it panicked"),
    ("results", "invoice 2026-7 was sent"),
    ("simulation", "nobody is charged twice in any history"),
    ("state", "hello you"),
    ("tenants", "an invoice of acme"),
    ("testing", "a month has passed, and every test"),
    ("versions", "to a@example.org"),
];

/// Examples that are programs with a command line, each seen by a test below.
const PROGRAMS: [&str; 2] = ["hello", "schedules"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The built example: cargo puts examples beside the folder that this binary is in.
fn built(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("a process knows its program");
    let target = me.ancestors().nth(2).expect("cargo puts tests into target/debug/deps");
    let program = target.join("examples").join(name);
    assert!(program.exists(), "the example {name} is not built: cargo build --examples");
    program
}

/// A folder with nothing in it: examples take what they find by themselves.
fn world(name: &str) -> World {
    World::new(built(name), "")
}

#[test]
fn every_example_is_run_here() {
    let files = std::fs::read_dir(folder()).expect("the project has examples");
    let files = files.map(|file| file.expect("a folder can be read").path());
    let named: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    let run = ENDING.iter().map(|(name, _)| *name).chain(PROGRAMS);
    assert_eq!(named, run.map(str::to_owned).collect());
}

#[tokio::test]
async fn examples_that_end_do_what_they_say() {
    for (name, says) in ENDING {
        let said = world(name).run(&[]).await.ok();
        assert!(said.out.contains(says), "{name}: {said:#?}");
    }
}

#[tokio::test]
async fn hello_greets_who_is_named() {
    let world = world("hello");
    let up = world.start(&["up"]);
    let said = world.run(&["publish", "hello", "--args", r#"{"name": "you"}"#, "--wait"]).await.ok();
    assert!(said.out.contains("hello you, this is attempt 1"), "{said:#?}");
    up.stop().await;
}

#[tokio::test]
async fn schedules_of_the_program_fire() {
    let world = world("schedules");
    let up = world.start(&["up"]);
    eventually("a report is made", PATIENCE, async || {
        let said = world.run(&["tasks", "list", "--json"]).await;
        said.out.contains("a report of today")
    })
    .await;
    let listed = world.run(&["schedules", "list"]).await.ok();
    assert!(listed.out.contains("report.nightly"), "{listed:#?}");
    up.stop().await;
}
