//! Transactions of the user's own on the ledger's file: a task is published in one, or a run settles itself in it.
//!
//! Nothing here waits for anything but the file: a connection cannot be held across an `await` of a task that may move to
//! another thread.

use std::path::Path;

use futures_util::FutureExt;
use rusqlite::{Connection, Transaction};

use super::tally::Tally;
use super::{agenda, settle};
use crate::client::{Client, PublishError, Publishable, TaskHandle};
use crate::failpoint;
use crate::ledger::transaction::elsewhere;
use crate::ledger::{CommitError, LedgerError, SettleAnswer, Settlement, Store, TransactionHome};
use crate::sqlite::{SqliteError, SqliteFile, Topic, Write};

/// Publishing in a transaction on the ledger's SQLite file.
pub trait SqliteClientExt {
    /// A connection to the ledger's file for tables of the program's own, set up as it must be: it waits for its turn to
    /// write, and what it commits is on the disk. Begin with `transaction_with_behavior(Immediate)`, and be short: while a
    /// transaction writes, every member waits.
    fn open_ledger_file(&self) -> Result<Connection, LedgerError>;

    /// Publishes a task when this transaction commits, and never if it is rolled back. A beat promotes it then, some tens of
    /// milliseconds later.
    ///
    /// A task with options is given as `client.publish(task).delay(…)`, not awaited. The client's layers must not wait.
    fn publish_in<T: Publishable>(
        &self,
        transaction: &Transaction<'_>,
        task: T,
    ) -> Result<TaskHandle<T>, PublishError>;
}

impl SqliteClientExt for Client {
    fn open_ledger_file(&self) -> Result<Connection, LedgerError> {
        let TransactionHome::Sqlite(file) = self.store().schema.transactions() else {
            return Err(LedgerError::Invalid(not_sqlite(self.store())));
        };
        Ok(file.connect()?)
    }

    fn publish_in<T: Publishable>(
        &self,
        transaction: &Transaction<'_>,
        task: T,
    ) -> Result<TaskHandle<T>, PublishError> {
        let file = home(self.store(), transaction).map_err(PublishError::Invalid)?;
        let prepared = self.prepare(task).now_or_never().unwrap_or_else(|| {
            Err(PublishError::Invalid(
                "a layer of this client waits, which a transaction on a file cannot".into(),
            ))
        })?;
        let write = Write::of_user(transaction, file.now().as_microsecond());
        let answers = write.in_savepoint(|write| {
            let mut tally = Tally::default();
            let answers = agenda::add(write, &mut tally, &prepared.entries)?;
            tally.write(write)?;
            Ok(answers)
        });
        Ok(prepared.written(&answers.map_err(LedgerError::from)?))
    }
}

/// Settles a claim as succeeded within this transaction, and commits it. An error means that the transaction is rolled
/// back.
pub fn commit(
    store: &Store,
    transaction: Transaction<'_>,
    settlement: &Settlement,
) -> Result<(), CommitError> {
    let file = home(store, &transaction).map_err(CommitError::Elsewhere)?;
    let write = Write::of_user(&transaction, file.now().as_microsecond());
    let settled = write.in_savepoint(|write| settle::settle(write, std::slice::from_ref(settlement)));
    let refused = |error: SqliteError| CommitError::Refused(error.to_string());
    match settled.map_err(refused)?.first() {
        Some(SettleAnswer::Applied(_)) => {}
        Some(SettleAnswer::AlreadySettled) => return Err(CommitError::AlreadySettled),
        Some(SettleAnswer::Stale) | None => {
            return Err(CommitError::Stale(format!("the task {}", settlement.claim.id)));
        }
    }
    failpoint!("transaction.settled");
    transaction.commit().map_err(|error| refused(error.into()))?;
    failpoint!("transaction.committed");
    for topic in [Topic::Ended, Topic::Agenda] {
        file.signals().raise(topic);
    }
    Ok(())
}

/// The ledger's file, if this transaction is on it.
fn home(store: &Store, transaction: &Transaction<'_>) -> Result<std::sync::Arc<SqliteFile>, String> {
    let TransactionHome::Sqlite(file) = store.schema.transactions() else {
        return Err(not_sqlite(store));
    };
    let theirs = transaction.path().unwrap_or_default();
    let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if whole(Path::new(theirs)) != whole(file.path()) {
        return Err(format!(
            "the transaction is on the file {theirs:?}, and the ledger is {}: open that with `open_ledger_file`",
            file.path().display()
        ));
    }
    Ok(file)
}

fn not_sqlite(store: &Store) -> String {
    elsewhere(&store.schema.describe(), "on SQLite", "\"embedded\"")
}
