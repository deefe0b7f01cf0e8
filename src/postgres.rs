//! Transactional work on Postgres: what a transaction publishes, and the run that it settles, come with its commit.

pub use upbeat_shared::ledger::postgres::{PostgresClientExt, PostgresTransaction, tokio_postgres};
#[cfg(feature = "worker")]
pub use upbeat_worker::transaction::postgres::PostgresContextExt;
