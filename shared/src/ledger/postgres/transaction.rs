//! Transactions of the user's own on the ledger's database: a task is published in one, or a run settles itself in it.

use std::future::Future;

use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Error, Row, Transaction};
use uuid::Uuid;

use super::error::{Fault, chain};
use super::row::{duration_micros, encode, state_of, text};
use crate::client::{Client, PublishError, Publishable, TaskHandle};
use crate::failpoint;
use crate::id::{KeyId, TaskId};
use crate::ledger::rule::joined_tags;
use crate::ledger::transaction::elsewhere;
use crate::ledger::{AddAnswer, CommitError, Due, LedgerError, NewEntry, Settlement, Store, TransactionHome};
use crate::message::Message;
use crate::unique::{OnTaken, Unique, Until};
use crate::verdict::Verdict;

/// What the functions raise; others may rely on these too (see `docs/transactions.md`).
const STALE: &str = "UB001";
const ALREADY_SETTLED: &str = "UB002";
const SAVEPOINT: &str = "UB003";

/// Publishing in a transaction on Postgres.
pub trait PostgresClientExt {
    /// Publishes a task when this transaction commits, and never if it is rolled back. A beat promotes it then, some
    /// milliseconds later.
    ///
    /// A task with options is given as `client.publish(task).delay(…)`, not awaited. The transaction must be on the ledger's
    /// own database. An error dooms it: roll it back.
    ///
    /// A unique key is this transaction's from here on: whoever else wants it waits until this one ends, and then sees who has
    /// it. Take several keys in the same order everywhere: of two transactions that take them crosswise, Postgres ends one.
    ///
    /// ```no_run
    /// # use upbeat_shared::client::{Client, NewTask};
    /// # use upbeat_shared::ledger::postgres::{PostgresClientExt, tokio_postgres};
    /// # async fn example(
    /// #     client: Client,
    /// #     invoice: NewTask,
    /// #     database: &mut tokio_postgres::Client,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let transaction = database.transaction().await?;
    /// transaction.execute("insert into orders (number) values (17)", &[]).await?;
    /// client.publish_in(&transaction, client.publish(invoice).dedup_id("order-17")).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    fn publish_in<T: Publishable>(
        &self,
        transaction: &Transaction<'_>,
        task: T,
    ) -> impl Future<Output = Result<TaskHandle<T>, PublishError>> + Send;
}

impl PostgresClientExt for Client {
    async fn publish_in<T: Publishable>(
        &self,
        transaction: &Transaction<'_>,
        task: T,
    ) -> Result<TaskHandle<T>, PublishError> {
        let schema = home(self.store()).map_err(PublishError::Invalid)?;
        let prepared = self.prepare(task).await?;
        lock_keys(transaction, &schema, &prepared.entries).await?;
        let mut answers = Vec::with_capacity(prepared.entries.len());
        for entry in &prepared.entries {
            answers.push(add(transaction, &schema, entry).await?);
        }
        Ok(prepared.written(&answers))
    }
}

/// A transaction that can be committed: `tokio_postgres`' own, or `deadpool_postgres`'.
pub trait PostgresTransaction: Send {
    /// The transaction itself.
    fn transaction(&self) -> &Transaction<'_>;
    /// Commits it.
    fn commit(self) -> impl Future<Output = Result<(), Error>> + Send;
}

impl PostgresTransaction for Transaction<'_> {
    fn transaction(&self) -> &Transaction<'_> {
        self
    }

    fn commit(self) -> impl Future<Output = Result<(), Error>> + Send {
        self.commit()
    }
}

impl PostgresTransaction for deadpool_postgres::Transaction<'_> {
    fn transaction(&self) -> &Transaction<'_> {
        self
    }

    fn commit(self) -> impl Future<Output = Result<(), Error>> + Send {
        self.commit()
    }
}

/// Settles a claim as succeeded within this transaction, and commits it. Unless it answers [`CommitError::Unknown`], an
/// error means that the transaction is rolled back.
pub async fn commit(
    store: &Store,
    transaction: impl PostgresTransaction,
    settlement: &Settlement,
) -> Result<(), CommitError> {
    let schema = home(store).map_err(CommitError::Elsewhere)?;
    settle(transaction.transaction(), &schema, settlement).await?;
    failpoint!("transaction.settled");
    transaction.commit().await.map_err(|error| match error.as_db_error() {
        // The server goes on, and says no.
        Some(said) if said.parsed_severity() == Some(Severity::Error) => CommitError::Refused(spoken(said)),
        _ => CommitError::Unknown(chain(&error)),
    })?;
    failpoint!("transaction.committed");
    Ok(())
}

/// The ledger's schema.
fn home(store: &Store) -> Result<String, String> {
    match store.schema.transactions() {
        TransactionHome::Postgres { schema } => Ok(schema),
        _ => Err(elsewhere(&store.schema.describe(), "on Postgres", "that database")),
    }
}

/// Locks the keys that these take, so that no two publishes of several tasks lock them crosswise.
async fn lock_keys(
    transaction: &Transaction<'_>,
    schema: &str,
    entries: &[NewEntry],
) -> Result<(), PublishError> {
    let keys: Vec<Uuid> = entries.iter().filter_map(|entry| Some(entry.message.unique_key()?.0)).collect();
    // One is locked by whoever takes it.
    if keys.len() < 2 {
        return Ok(());
    }
    let sql = format!("select {schema}.lock_keys_1($1)");
    let locked = transaction.query_typed(&sql, &[(&keys, Type::UUID_ARRAY)]).await;
    locked.map(drop).map_err(|error| refused(error, schema))
}

async fn add(
    transaction: &Transaction<'_>,
    schema: &str,
    entry: &NewEntry,
) -> Result<AddAnswer, PublishError> {
    let message = &entry.message;
    let encoded = encode(message).map_err(LedgerError::from)?;
    let schedule = message.occurrence.as_ref().map(|planned| planned.schedule_id.as_str());
    let (due, relative) = match entry.due {
        Due::At(at) => (at.as_microsecond(), false),
        Due::In(delay) => (duration_micros(delay), true),
    };
    let params: [(&(dyn ToSql + Sync), Type); 11] = [
        (&message.id.0, Type::UUID),
        (&message.name.as_str(), Type::TEXT),
        (&message.queue.as_str(), Type::TEXT),
        (&i16::from(message.priority.get()), Type::INT2),
        (&message.seq.0, Type::INT8),
        (&message.must_start_by().map(jiff::Timestamp::as_microsecond), Type::INT8),
        (&schedule, Type::TEXT),
        (&joined_tags(&message.tags).as_deref().map(text), Type::TEXT),
        (&encoded, Type::BYTEA),
        (&due, Type::INT8),
        (&relative, Type::BOOL),
    ];
    if let Some((unique, key)) = message.unique.as_ref().zip(message.unique_key()) {
        return add_keyed(transaction, schema, message, (unique, key), &params).await;
    }
    let sql = format!("select {schema}.publish_one_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    let rows = transaction.query_typed(&sql, &params).await.map_err(|error| refused(error, schema))?;
    let state: Option<i16> = column(&rows, 0)?;
    Ok(match state {
        None => AddAnswer::Added(message.seq),
        Some(state) => AddAnswer::Exists(state_of(state).map_err(LedgerError::from)?),
    })
}

async fn add_keyed(
    transaction: &Transaction<'_>,
    schema: &str,
    message: &Message,
    (unique, key): (&Unique, KeyId),
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Result<AddAnswer, PublishError> {
    let window = match unique.until {
        Until::Window(window) => Some(duration_micros(window)),
        Until::Finished => None,
    };
    let replace = unique.on_taken == OnTaken::Replace;
    let of_key: [(&(dyn ToSql + Sync), Type); 3] =
        [(&key.0, Type::UUID), (&window, Type::INT8), (&replace, Type::BOOL)];
    let params = [params, &of_key].concat();
    let sql = format!(
        "select id, state from {schema}.publish_keyed_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    );
    let rows = transaction.query_typed(&sql, &params).await.map_err(|error| refused(error, schema))?;
    let Some(state) = column::<i16>(&rows, 1)? else { return Ok(AddAnswer::Added(message.seq)) };
    let state = state_of(state).map_err(LedgerError::from)?;
    Ok(match column::<Uuid>(&rows, 0)? {
        Some(by) if by != message.id.0 => AddAnswer::Taken { by: TaskId(by), state },
        _ => AddAnswer::Exists(state),
    })
}

fn column<'a, T: FromSql<'a>>(rows: &'a [Row], at: usize) -> Result<Option<T>, LedgerError> {
    let value = rows.first().map(|row| row.try_get::<_, Option<T>>(at)).transpose().map_err(Fault::from)?;
    Ok(value.flatten())
}

fn refused(error: Error, schema: &str) -> PublishError {
    match error.as_db_error() {
        Some(said) if is_missing(said) => PublishError::Invalid(nowhere(schema)),
        _ => PublishError::Ledger(Fault::from(error).into()),
    }
}

async fn settle(
    transaction: &Transaction<'_>,
    schema: &str,
    settlement: &Settlement,
) -> Result<(), CommitError> {
    let claim = &settlement.claim;
    let Verdict::Succeeded { result } = &settlement.verdict else {
        return Err(CommitError::Refused("only a success is committed in a transaction".into()));
    };
    let result = result.as_ref().map(rmp_serde::to_vec).transpose();
    let result = result.map_err(|error| CommitError::Result(error.to_string()))?;
    let sql = format!("select {schema}.settle_whole_1($1, $2, $3, $4)");
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&claim.id.0, Type::UUID),
        (&claim.fence.0, Type::INT8),
        (&claim.token.0, Type::INT8),
        (&result, Type::BYTEA),
    ];
    let settled = transaction.query_typed(&sql, &params).await;
    settled.map(drop).map_err(|error| match error.as_db_error() {
        Some(said) if said.code().code() == STALE => CommitError::Stale(said.message().to_owned()),
        Some(said) if said.code().code() == ALREADY_SETTLED => CommitError::AlreadySettled,
        Some(said) if said.code().code() == SAVEPOINT => CommitError::Refused(spoken(said)),
        Some(said) if is_missing(said) => CommitError::Elsewhere(nowhere(schema)),
        Some(said) => CommitError::Refused(spoken(said)),
        None => CommitError::Refused(chain(&error)),
    })
}

/// The schema, or a function of it.
fn is_missing(said: &DbError) -> bool {
    *said.code() == SqlState::INVALID_SCHEMA_NAME || *said.code() == SqlState::UNDEFINED_FUNCTION
}

fn nowhere(schema: &str) -> String {
    format!(
        "the transaction is on a database without the ledger's schema {schema}, or with one of another version: it must \
         be on the database that the ledger's URL names"
    )
}

fn spoken(said: &DbError) -> String {
    format!("Postgres says: {} ({})", said.message(), said.code().code())
}
