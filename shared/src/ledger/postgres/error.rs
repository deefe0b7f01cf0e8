//! What Postgres' errors mean to a caller: come back later, or call a person.

use std::error::Error;

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

use crate::ledger::LedgerError;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Postgres, or the way to it.
    Postgres(tokio_postgres::Error),
    /// No connection could be had.
    Pool(PoolError),
    /// It took longer than a call may.
    TimedOut,
    /// What is stored or what was asked cannot be.
    Invalid(String),
    /// The schema is newer than this program.
    Newer { found: u32, known: u32 },
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Postgres(error),
            error => Self::Pool(error),
        }
    }
}

impl Fault {
    /// Whether the same batch may well succeed at once: it lost against another one, and nothing of it happened.
    pub(super) fn is_collision(&self) -> bool {
        self.code().is_some_and(|code| {
            *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
        })
    }

    /// The user may not do it.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code().is_some_and(|code| *code == SqlState::INSUFFICIENT_PRIVILEGE)
    }

    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres(error) => error.code(),
            _ => None,
        }
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Postgres(error) => of_postgres(&error),
            Fault::Pool(PoolError::Timeout(_)) => {
                Self::Unavailable("no connection to Postgres was free in time".into())
            }
            Fault::Pool(error) => Self::Unavailable(chain(&error)),
            Fault::TimedOut => Self::Unavailable("Postgres did not answer in time".into()),
            Fault::Invalid(message) => Self::Invalid(message),
            Fault::Newer { found, known } => Self::NewerSchema { found, known },
        }
    }
}

fn of_postgres(error: &tokio_postgres::Error) -> LedgerError {
    let Some(database) = error.as_db_error() else { return LedgerError::Unavailable(chain(error)) };
    let said = format!("Postgres says: {} ({})", database.message(), database.code().code());
    if is_passing(database.code()) {
        return LedgerError::Unavailable(said);
    }
    match advice(database) {
        Some(advice) => LedgerError::Invalid(format!("{said}; {advice}")),
        None => LedgerError::Invalid(said),
    }
}

/// Whether it goes away by itself.
fn is_passing(code: &SqlState) -> bool {
    const PASSING: [SqlState; 5] = [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::LOCK_NOT_AVAILABLE,
        // A standby, or a primary that was asked to step down.
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    // Connections, resources (disk, memory, too many connections), operator (shutdown, start, cancel), system (I/O).
    const CLASSES: [&str; 4] = ["08", "53", "57", "58"];
    // A database that was dropped does not come back by itself.
    *code != SqlState::DATABASE_DROPPED
        && (PASSING.contains(code) || CLASSES.iter().any(|class| code.code().starts_with(class)))
}

/// What a person can do about it.
fn advice(error: &DbError) -> Option<&'static str> {
    let code = error.code();
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return Some(
            "grant it to the user of the ledger's URL, or run `upbeat migrate up` as a user who may",
        );
    }
    let missing = [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_FUNCTION, SqlState::UNDEFINED_COLUMN];
    if missing.contains(code) || *code == SqlState::INVALID_SCHEMA_NAME {
        return Some("the ledger's schema is missing or incomplete: run `upbeat migrate up`");
    }
    if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        return Some("check user and password in the ledger's URL, and the server's pg_hba.conf");
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return Some("create the database, or name another one in the ledger's URL");
    }
    None
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
        let passing = [
            "08006", "57P01", "57P03", "57014", "53300", "53100", "40P01", "40001", "55P03", "25006", "58030",
        ];
        for code in passing {
            assert!(is_passing(&SqlState::from_code(code)), "{code}");
        }
        for code in ["42501", "42P01", "42883", "23505", "22021", "28P01", "3D000", "57P04", "0A000"] {
            assert!(!is_passing(&SqlState::from_code(code)), "{code}");
        }
    }
}
