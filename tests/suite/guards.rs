//! `tests/guards.toml` is about the code as it is.

use std::path::Path;

use upbeat_tests::mutation::{Edit, Guard, Guards, Outcome, Trial, Where, table};

fn guard() -> Guard {
    Guard {
        name: "lock".into(),
        promise: "one at a time".into(),
        tests: vec!["door".into()],
        red: vec!["front".into(), "back".into()],
        place: Where::Suite,
        edits: Vec::new(),
    }
}

#[test]
fn every_guard_stands_where_it_is_said_to_stand() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guards = Guards::of(project).unwrap();
    for guard in &guards.all {
        for edit in &guard.edits {
            let text = std::fs::read_to_string(project.join(&edit.file)).unwrap();
            let spoilt = edit.applied(&text).unwrap_or_else(|error| panic!("{}: {error:#}", guard.name));
            assert_ne!(spoilt, text, "{}: taking it away changes nothing in {}", guard.name, edit.file);
        }
    }
}

#[test]
fn a_guard_is_missed_when_a_test_of_each_group_fails() {
    let said =
        "test front::door ... FAILED\ntest back::door ... FAILED\ntest result: FAILED. 0 passed; 2 failed";
    let trial = Trial::told_by(guard(), said);
    assert_eq!((trial.outcome.clone(), trial.failed.len()), (Outcome::Red, 2));
    assert!(table(&[trial]).contains("| `lock` | one at a time | 2 | `back::door`, `front::door` |"));
}

#[test]
fn a_guard_that_one_group_does_not_miss_is_told() {
    let said = "test front::door ... FAILED\ntest back::door ... ok\ntest result: FAILED. 1 passed; 1 failed";
    let trial = Trial::told_by(guard(), said);
    assert_eq!(trial.outcome, Outcome::Green(vec!["back".into()]));
    assert!(table(&[trial]).contains("**none in back**"));
}

#[test]
fn what_does_not_build_proves_nothing() {
    let trial = Trial::told_by(guard(), "error[E0425]: cannot find value");
    assert_eq!(trial.outcome, Outcome::NotBuilt("error[E0425]: cannot find value".into()));
}

#[test]
fn text_that_stands_there_twice_is_no_guard() {
    let edit = Edit { file: "a.rs".into(), from: "x".into(), to: String::new() };
    assert!(edit.applied("x x").is_err());
    assert!(edit.applied("y").is_err());
    assert_eq!(edit.applied("x y").unwrap(), " y");
}
