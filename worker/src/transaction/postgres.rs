//! Transactions on Postgres.

use std::future::Future;

use serde::Serialize;
use upbeat_shared::ledger::CommitError;
use upbeat_shared::ledger::postgres::{PostgresTransaction, commit};

use super::{HasRun, client, committed, success};
use crate::executor::RunContext;
use crate::executor::native::Context;

/// Ending a run in a transaction on the ledger's Postgres database: what the handler wrote in it happens exactly once.
///
/// An error means that the transaction is rolled back; only [`CommitError::Unknown`] says that nobody knows. In either case
/// return it: the worker does what is right. Commit last: from the settle to the commit, other members may wait for the task.
///
/// ```no_run
/// # use upbeat_shared::ledger::postgres::tokio_postgres;
/// # use upbeat_worker::{Context, TaskError};
/// # struct Charge { account: i64, cents: i64 }
/// # #[derive(Clone)] struct Database;
/// # impl Database { async fn get(&self) -> Result<tokio_postgres::Client, std::io::Error> { unimplemented!() } }
/// use upbeat_worker::transaction::postgres::PostgresContextExt;
///
/// async fn charge(task: Charge, ctx: Context<Database>) -> Result<(), TaskError> {
///     let mut database = ctx.state().get().await?;
///     let transaction = database.transaction().await?;
///     let sql = "update accounts set cents = cents - $2 where id = $1";
///     transaction.execute(sql, &[&task.account, &task.cents]).await?;
///     Ok(ctx.commit(transaction).await?)
/// }
/// ```
#[allow(private_bounds, reason = "only runs end")]
pub trait PostgresContextExt: HasRun + Sync {
    /// Settles this run as succeeded in the transaction, and commits it. The transaction is `tokio_postgres`' or
    /// `deadpool_postgres`' own, and no savepoint.
    fn commit(
        &self,
        transaction: impl PostgresTransaction,
    ) -> impl Future<Output = Result<(), CommitError>> + Send {
        self.commit_with(transaction, &())
    }

    /// The same, with a result: it is what the record keeps.
    fn commit_with<R: Serialize + Sync>(
        &self,
        transaction: impl PostgresTransaction,
        result: &R,
    ) -> impl Future<Output = Result<(), CommitError>> + Send {
        async move {
            let run = self.of();
            let settlement = success(run, result)?;
            commit(client(run)?.store(), transaction, &settlement).await?;
            committed(run, settlement);
            Ok(())
        }
    }
}

impl PostgresContextExt for RunContext {}

impl<S: Send + Sync> PostgresContextExt for Context<S> {}
