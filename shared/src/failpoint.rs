//! Named places where a test can kill the process. Compiled to nothing unless the feature `failpoints` is on.
//!
//! A test sets the environment variable `FAILPOINTS`, as the crate `fail` documents it: `promote.published=return`
//! kills the process at that place, `promote.published=1*off->return` at its second visit.

/// Marks a place between two steps whose order an invariant depends on.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::hit($name)
    };
}

/// Marks a place between two steps whose order an invariant depends on.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {};
}

/// Reads `FAILPOINTS` from the environment; a binary calls it once, first thing.
#[cfg(feature = "failpoints")]
pub fn arm() {
    // The scenario is never torn down: it lasts as long as the process.
    std::mem::forget(fail::FailScenario::setup());
}

/// Reads `FAILPOINTS` from the environment; does nothing in this build.
#[cfg(not(feature = "failpoints"))]
pub fn arm() {}

/// Dies here without unwinding, as a `kill -9` would, when the test says so.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    fail::eval(name, |_| -> () { std::process::abort() });
}
