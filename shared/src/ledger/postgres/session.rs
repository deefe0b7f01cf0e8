//! Calls: a connection from the pool, a bound in time, and another try when two batches collided.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Client, Pool};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::error::Fault;
use crate::telemetry;

/// How often a batch is tried again that lost against another one.
const TRIES: u32 = 6;

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// Of a step in a task's life.
    Short,
    /// Of what looks at or changes many rows.
    Long,
    /// Of a migration.
    Migration,
}

impl Patience {
    fn limit(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(5),
            Self::Long => Duration::from_secs(20),
            Self::Migration => Duration::from_secs(600),
        }
    }
}

/// Something that the ledger is asked to do. It may be done again from the start if it collided with another.
pub(super) trait Work: Sync {
    /// In metrics.
    const CALL: &'static str;

    /// What it may take, with its repetitions.
    const PATIENCE: Patience = Patience::Short;

    /// What comes of it.
    type Answer: Send;

    /// Does it on this connection.
    fn run(&self, session: &mut Session) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// Does it.
pub(super) async fn perform<W: Work>(pool: &Pool, work: &W) -> Result<W::Answer, Fault> {
    let limited = tokio::time::timeout(W::PATIENCE.limit(), tries(pool, work));
    limited.await.unwrap_or(Err(Fault::TimedOut))
}

async fn tries<W: Work>(pool: &Pool, work: &W) -> Result<W::Answer, Fault> {
    let mut tried = 0;
    loop {
        let mut session = Session::borrow(pool, W::CALL).await?;
        let outcome = work.run(&mut session).await;
        session.give_back(outcome.is_ok()).await;
        tried += 1;
        match outcome {
            Err(fault) if fault.is_collision() && tried < TRIES => {
                metrics::counter!(telemetry::LEDGER_COLLISIONS, "call" => W::CALL).increment(1);
                // Apart in time, they do not collide again.
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..(4 << tried)))).await;
            }
            outcome => return outcome,
        }
    }
}

/// A connection in use. Dropped in the middle of something, it is closed: the next user must not wait for what this one
/// began, nor find itself in its transaction.
pub(super) struct Session {
    client: Option<Client>,
    call: &'static str,
    in_transaction: bool,
}

impl Session {
    async fn borrow(pool: &Pool, call: &'static str) -> Result<Self, Fault> {
        Ok(Self { client: Some(pool.get().await?), call, in_transaction: false })
    }

    async fn give_back(mut self, succeeded: bool) {
        let clean = !self.in_transaction || (!succeeded && self.rollback().await.is_ok());
        if clean {
            // Out of the reach of `drop`, which closes it.
            drop(self.client.take());
        }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is taken only when the session ends")
    }

    fn count(&self) {
        metrics::counter!(telemetry::LEDGER_ROUND_TRIPS, "call" => self.call).increment(1);
    }

    /// Runs a statement that is prepared once a connection.
    pub(super) async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fault> {
        let statement: Statement = self.client().prepare_cached(sql).await?;
        self.count();
        Ok(self.client().query(&statement, params).await?)
    }

    /// The one row of its answer.
    pub(super) async fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Fault> {
        let mut rows = self.query(sql, params).await?;
        rows.pop().ok_or_else(|| Fault::Invalid("Postgres answered without a row".into()))
    }

    /// How many rows it changed.
    pub(super) async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Fault> {
        let statement = self.client().prepare_cached(sql).await?;
        self.count();
        Ok(self.client().execute(&statement, params).await?)
    }

    /// Runs a statement that is different each time, in one round trip.
    pub(super) async fn query_once(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), tokio_postgres::types::Type)],
    ) -> Result<Vec<Row>, Fault> {
        self.count();
        Ok(self.client().query_typed(sql, params).await?)
    }

    /// Runs several statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.count();
        Ok(self.client().batch_execute(sql).await?)
    }

    /// Begins a transaction; whatever fails before its end undoes it.
    pub(super) async fn begin(&mut self) -> Result<(), Fault> {
        self.in_transaction = true;
        self.batch("begin").await
    }

    /// Ends it.
    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        self.batch("commit").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Undoes it.
    pub(super) async fn rollback(&mut self) -> Result<(), Fault> {
        self.batch("rollback").await?;
        self.in_transaction = false;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Client::take(client));
        }
    }
}
