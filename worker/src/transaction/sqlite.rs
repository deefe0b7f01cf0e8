//! Transactions on the embedded ledger's SQLite file.

use serde::Serialize;
use upbeat_shared::ledger::CommitError;
use upbeat_shared::ledger::embedded::{commit, rusqlite};

use super::{HasRun, client, committed, success};
use crate::executor::RunContext;
use crate::executor::native::Context;

/// Ending a run in a transaction on the ledger's SQLite file: what the handler wrote in it happens exactly once.
///
/// An error means that the transaction is rolled back. Nothing here is awaited, for it is only the file that is waited for: a
/// handler that blocks its thread (`App::task_blocking`) is the right place.
///
/// ```no_run
/// # use upbeat_worker::{Context, TaskError};
/// # struct Charge { account: i64, cents: i64 }
/// use upbeat_shared::ledger::embedded::SqliteClientExt;
/// use upbeat_shared::ledger::embedded::rusqlite::TransactionBehavior::Immediate;
/// use upbeat_worker::transaction::sqlite::SqliteContextExt;
///
/// fn charge(task: Charge, ctx: Context) -> Result<(), TaskError> {
///     let mut file = ctx.client().open_ledger_file()?;
///     let transaction = file.transaction_with_behavior(Immediate)?;
///     let sql = "update shop_accounts set cents = cents - ?2 where id = ?1";
///     transaction.execute(sql, (task.account, task.cents))?;
///     Ok(ctx.commit(transaction)?)
/// }
/// ```
#[allow(private_bounds, reason = "only runs end")]
pub trait SqliteContextExt: HasRun {
    /// Settles this run as succeeded in the transaction, and commits it.
    fn commit(&self, transaction: rusqlite::Transaction<'_>) -> Result<(), CommitError> {
        self.commit_with(transaction, &())
    }

    /// The same, with a result: it is what the record keeps.
    fn commit_with<R: Serialize>(
        &self,
        transaction: rusqlite::Transaction<'_>,
        result: &R,
    ) -> Result<(), CommitError> {
        let run = self.of();
        let settlement = success(run, result)?;
        commit(client(run)?.store(), transaction, &settlement)?;
        committed(run, settlement);
        Ok(())
    }
}

impl SqliteContextExt for RunContext {}

impl<S> SqliteContextExt for Context<S> {}
