//! Transactions on Postgres: a table of effects beside the ledger's.

use async_trait::async_trait;
use upbeat_shared::client::{Client, NewTask, PublishError, TaskHandle};
use upbeat_shared::ledger::postgres::{PostgresClientExt, commit, tokio_postgres};
use upbeat_shared::ledger::{CommitError, Settlement, Store};

use super::{End, TransactionWorld};
use crate::conformance::postgres::{Ledger, connect};

const TABLE: &str = "test_effect";

impl Ledger {
    async fn user(&self) -> tokio_postgres::Client {
        let user = connect(&self.space().url).await;
        let sql = format!("create table if not exists {}.{TABLE} (effect text)", self.space().schema());
        user.batch_execute(&sql).await.expect("a table can be made");
        user
    }

    async fn write(&self, transaction: &tokio_postgres::Transaction<'_>, effect: &str) {
        let sql = format!("insert into {}.{TABLE} values ($1)", self.space().schema());
        transaction.execute(&sql, &[&effect]).await.expect("an effect can be written");
    }
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
        let mut user = self.user().await;
        let transaction = user.transaction().await.expect("a transaction begins");
        self.write(&transaction, effect).await;
        let mut handles = Vec::new();
        for task in tasks {
            handles.push(client.publish_in(&transaction, task).await?);
        }
        match end {
            End::Commit => transaction.commit().await,
            End::Rollback => transaction.rollback().await,
        }
        .expect("it ends as it was told to");
        Ok(handles)
    }

    async fn commit(&self, ledger: &Store, effect: &str, settlement: &Settlement) -> Result<(), CommitError> {
        let mut user = self.user().await;
        let transaction = user.transaction().await.expect("a transaction begins");
        self.write(&transaction, effect).await;
        commit(ledger, transaction, settlement).await
    }

    async fn effects(&self) -> Vec<String> {
        let sql = format!("select effect from {}.{TABLE} order by effect", self.space().schema());
        let rows = self.user().await.query(&sql, &[]).await.expect("effects can be read");
        rows.iter().map(|row| row.get(0)).collect()
    }
}
