//! What can go wrong with the file, named by what a person or the program can do.

use rusqlite::ErrorCode;

use crate::ledger::LedgerError;
use crate::transport::TransportError;

/// Why the file could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// It cannot be used now: disk full, read-only, locked, unreadable. Nothing was changed; the same call may succeed
    /// later.
    #[error("{0}")]
    Unavailable(String),
    /// It is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// A newer program wrote it.
    #[error("{component}: its schema is version {found}, this program knows {known}")]
    Newer {
        /// Whose tables.
        component: &'static str,
        /// What the file has.
        found: u32,
        /// What the program knows.
        known: u32,
    },
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error_code() else { return Self::Invalid(error.to_string()) };
        let advice = match code {
            ErrorCode::DiskFull => "the disk is full: free some space, then it goes on by itself",
            ErrorCode::ReadOnly => "the file is read-only: make it and its directory writable",
            ErrorCode::PermissionDenied => "permission denied: make the file and its directory writable",
            ErrorCode::CannotOpen => {
                "it cannot be opened: does the directory exist, and may this user write in it?"
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                "another process holds the file for too long: is one stopped in the middle of a write?"
            }
            ErrorCode::SystemIoFailure => "the disk reports an error",
            ErrorCode::OutOfMemory => "out of memory",
            _ => return Self::Invalid(error.to_string()),
        };
        Self::Unavailable(format!("{advice} ({error})"))
    }
}

impl From<SqliteError> for LedgerError {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Unavailable(reason) => Self::Unavailable(reason),
            SqliteError::Invalid(reason) => Self::Invalid(reason),
            SqliteError::Newer { found, known, .. } => Self::NewerSchema { found, known },
        }
    }
}

impl From<SqliteError> for TransportError {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Unavailable(reason) => Self::Unavailable(reason),
            SqliteError::Invalid(reason) => Self::Refused(reason),
            newer @ SqliteError::Newer { .. } => Self::Refused(newer.to_string()),
        }
    }
}
