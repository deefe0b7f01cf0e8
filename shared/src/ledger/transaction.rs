//! A transaction of the user's own, in which the ledger takes part: a task is published in it, or a run settles itself in it.

#[cfg(feature = "embedded")]
use std::sync::Arc;

#[cfg(feature = "embedded")]
use crate::sqlite::SqliteFile;

/// Where a transaction must be, for this ledger to take part in it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum TransactionHome {
    /// Nowhere: the ledger takes part in no transaction but its own.
    #[default]
    Nowhere,
    /// In the Postgres database that holds this schema.
    Postgres {
        /// Its name, as it stands in a statement.
        schema: String,
    },
    /// In this SQLite file.
    #[cfg(feature = "embedded")]
    Sqlite(Arc<SqliteFile>),
}

/// Why a run could not settle itself in a transaction. Nothing of it was committed, but for [`CommitError::Unknown`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Another worker has the task by now, or it ended.
    #[error("the transaction was not committed: the task is not in this run's hands any more ({0})")]
    Stale(String),
    /// This run has settled it before: what the transaction writes is there already.
    #[error("the transaction was not committed: this run has settled its task before")]
    AlreadySettled,
    /// The ledger takes no part in this transaction.
    #[error("the transaction was not committed: {0}")]
    Elsewhere(String),
    /// The result cannot be kept.
    #[error("the transaction was not committed: the result cannot be kept: {0}")]
    Result(String),
    /// The database refused it.
    #[error("the transaction was not committed: {0}")]
    Refused(String),
    /// The answer to the commit was lost: it may or may not have happened. Return this as the run's error: if it was
    /// committed, the task has succeeded, and does not run again.
    #[error("the transaction may or may not be committed: {0}")]
    Unknown(String),
}

impl CommitError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Stale(_) | Self::AlreadySettled => "commit-stale",
            Self::Elsewhere(_) => "commit-elsewhere",
            Self::Result(_) | Self::Refused(_) => "commit-refused",
            Self::Unknown(_) => "commit-unknown",
        }
    }
}

/// What a transaction is told that the ledger takes no part in.
#[cfg(any(feature = "embedded", feature = "postgres"))]
pub(super) fn elsewhere(described: &str, of: &str, wanted: &str) -> String {
    format!(
        "the ledger is {described}, and takes no part in a transaction {of}: that needs `[ledger]` with `url` set to {wanted}"
    )
}
