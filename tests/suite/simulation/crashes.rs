//! One crash, and two, at the calls of every path.

use upbeat_tests::simulation::crashes::{self, Path, Tried};

/// Pairs of crashes for each path; a night's run tries all of them.
const PAIRS: usize = 30;

#[track_caller]
fn held(path: Path, tried: &Tried) {
    let Tried { histories, wrong } = tried;
    assert!(*histories > 2, "{path:?} makes no calls");
    assert!(
        wrong.is_empty(),
        "{path:?}: {} of {histories} histories broke a promise, the first one:\n{}",
        wrong.len(),
        wrong[0]
    );
}

#[test]
fn one_crash_at_any_call_of_any_path_breaks_no_promise() {
    for path in Path::ALL {
        held(path, &crashes::one(path));
    }
}

#[test]
fn two_crashes_at_calls_of_any_path_break_no_promise() {
    for path in Path::ALL {
        held(path, &crashes::two(path, PAIRS));
    }
}
