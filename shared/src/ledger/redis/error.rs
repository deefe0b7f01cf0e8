//! What Redis' errors mean to a caller: come back later, or call a person.

use std::error::Error;

use deadpool::managed::PoolError;
use redis::RedisError;

use crate::ledger::LedgerError;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Redis says no.
    Redis(RedisError),
    /// The way to it.
    Connection(String),
    /// No connection was free.
    Busy,
    /// It took longer than a call may.
    TimedOut,
    /// What is stored or what was asked cannot be.
    Invalid(String),
    /// The store is newer than this program.
    Newer { found: u32, known: u32 },
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        // What the server said has a code; the rest is about the way to it.
        if error.code().is_some() { Self::Redis(error) } else { Self::Connection(chain(&error)) }
    }
}

impl From<PoolError<Fault>> for Fault {
    fn from(error: PoolError<Fault>) -> Self {
        match error {
            PoolError::Backend(fault) => fault,
            PoolError::Timeout(_) => Self::Busy,
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self::Connection("the pool of connections to Redis is closed".into())
            }
        }
    }
}

impl Fault {
    /// Where a cluster says that the keys are.
    pub(super) fn moved_to(&self) -> Option<(String, u16)> {
        let Self::Redis(error) = self else { return None };
        let (node, _) = (error.code() == Some("MOVED")).then(|| error.redirect_node())??;
        let (host, port) = node.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    }

    /// The user may not do it.
    pub(super) fn is_forbidden(&self) -> bool {
        // Managed servers do not even know the command.
        matches!(self, Self::Redis(error) if error.code() == Some("NOPERM")
            || error.detail().is_some_and(|detail| detail.starts_with("unknown command")))
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Redis(error) => of_redis(&error),
            Fault::Connection(message) => Self::Unavailable(message),
            Fault::Busy => Self::Unavailable("no connection to Redis was free in time".into()),
            Fault::TimedOut => Self::Unavailable("Redis did not answer in time".into()),
            Fault::Invalid(message) => Self::Invalid(message),
            Fault::Newer { found, known } => Self::NewerSchema { found, known },
        }
    }
}

fn of_redis(error: &RedisError) -> LedgerError {
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    let said = format!("Redis says: {code} {detail}");
    let said = match advice(code) {
        Some(advice) => format!("{said}; {advice}"),
        None => said,
    };
    if is_passing(code, detail) { LedgerError::Unavailable(said) } else { LedgerError::Invalid(said) }
}

/// Whether it goes away by itself, or by what an operator does to the server.
fn is_passing(code: &str, detail: &str) -> bool {
    const PASSING: [&str; 12] = [
        "ASK",
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    ];
    PASSING.contains(&code) || (code == "ERR" && detail.contains("max number of clients"))
}

/// What a person can do about it.
fn advice(code: &str) -> Option<&'static str> {
    match code {
        "OOM" => Some("its memory is full: raise maxmemory, or keep less (`retention`)"),
        "MISCONF" => Some("it cannot write to its disk"),
        "READONLY" => Some("this is a replica: name the primary in the ledger's URL"),
        "NOAUTH" | "WRONGPASS" => Some("check user and password in the ledger's URL"),
        "NOPERM" => Some("allow the user of the ledger's URL every command on keys `upbeat:*`"),
        "CROSSSLOT" => Some("something between Upbeat and Redis changes the names of keys"),
        _ => None,
    }
}

/// An error with its causes, for it alone seldom says what happened.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_away_by_itself_is_told_from_what_a_person_must_mend() {
        for code in ["LOADING", "OOM", "READONLY", "MISCONF", "CLUSTERDOWN", "BUSY"] {
            assert!(is_passing(code, ""), "{code}");
        }
        assert!(is_passing("ERR", "max number of clients reached"));
        for code in ["NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE", "CROSSSLOT", "ERR"] {
            assert!(!is_passing(code, ""), "{code}");
        }
    }
}
