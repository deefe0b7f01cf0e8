//! Transactions on the ledger's SQLite file: a table of effects beside the ledger's.

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use upbeat_shared::client::{Client, NewTask, PublishError, TaskHandle};
use upbeat_shared::ledger::embedded::{SqliteClientExt, commit};
use upbeat_shared::ledger::{CommitError, Settlement, Store};

use super::{End, TransactionWorld, client};
use crate::conformance::embedded::Ledger;

fn user(world: &Ledger) -> Connection {
    let user = client(world).open_ledger_file().expect("the file can be opened");
    user.execute("CREATE TABLE IF NOT EXISTS test_effect (effect TEXT)", []).expect("a table can be made");
    user
}

fn begin<'a>(user: &'a mut Connection, effect: &str) -> Transaction<'a> {
    let begun = user.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.expect("a transaction begins");
    let written = transaction.execute("INSERT INTO test_effect VALUES (?1)", [effect]);
    written.expect("an effect can be written");
    transaction
}

#[async_trait]
impl TransactionWorld for Ledger {
    async fn publish(
        &self,
        client: &Client,
        effect: &str,
        tasks: Vec<NewTask>,
        end: End,
    ) -> Result<Vec<TaskHandle>, PublishError> {
        let mut user = user(self);
        let transaction = begin(&mut user, effect);
        let handles =
            tasks.into_iter().map(|task| client.publish_in(&transaction, task)).collect::<Result<_, _>>()?;
        match end {
            End::Commit => transaction.commit(),
            End::Rollback => transaction.rollback(),
        }
        .expect("it ends as it was told to");
        Ok(handles)
    }

    async fn commit(&self, ledger: &Store, effect: &str, settlement: &Settlement) -> Result<(), CommitError> {
        commit(ledger, begin(&mut user(self), effect), settlement)
    }

    async fn effects(&self) -> Vec<String> {
        let user = user(self);
        let mut select = user.prepare("SELECT effect FROM test_effect ORDER BY effect").expect("it is SQL");
        let effects = select.query_map([], |row| row.get(0)).expect("effects can be read");
        effects.collect::<Result<_, _>>().expect("effects are texts")
    }
}
