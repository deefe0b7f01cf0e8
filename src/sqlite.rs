//! The file of the embedded broker and ledger, and transactional work in it: what a transaction publishes, and the run that it
//! settles, come with its commit.

pub use upbeat_shared::ledger::embedded::{SqliteClientExt, rusqlite};
pub use upbeat_shared::sqlite::{SqliteError, SqliteFile};
#[cfg(feature = "worker")]
pub use upbeat_worker::transaction::sqlite::SqliteContextExt;
