//! Processes that a worker starts: what holds one together with what it has started, and what of its output is kept.

#[cfg(any(unix, feature = "command"))]
pub(crate) mod group;
#[cfg(any(unix, feature = "command"))]
pub(crate) mod output;

#[cfg(any(unix, feature = "command"))]
use std::process::ExitStatus;

/// How a process ended, for a person: `with exit code 1`, `by signal 9`.
#[cfg(any(unix, feature = "command"))]
pub(crate) fn ended(what: &str, status: ExitStatus) -> String {
    match (status.code(), signal_of(status)) {
        (Some(code), _) => format!("{what} ended with exit code {code}"),
        (None, Some(signal)) => format!("{what} was killed by signal {signal}"),
        (None, None) => format!("{what} ended without a status"),
    }
}

#[cfg(unix)]
pub(crate) fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(all(not(unix), feature = "command"))]
pub(crate) fn signal_of(_status: ExitStatus) -> Option<i32> {
    None
}
