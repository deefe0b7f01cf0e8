//! Transactions that the ledger takes no part in are told so.

use std::sync::Arc;

use upbeat::client::{NewTask, PublishError};
use upbeat_shared::clock::SystemClock;
use upbeat_shared::ledger::embedded::SqliteClientExt;
use upbeat_shared::ledger::memory::{MemoryLedger, MemoryOptions};
use upbeat_shared::ledger::postgres::{PostgresClientExt, commit};
use upbeat_shared::ledger::{CommitError, Store};
use upbeat_shared::message::Payload;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::LedgerWorld;
use upbeat_tests::conformance::ledger::Probe;
use upbeat_tests::conformance::postgres::{Ledger, Space, connect};
use upbeat_tests::conformance::transaction::client_over;
use upbeat_tests::message::{message, task_name};

fn task() -> NewTask {
    NewTask::new(task_name("demo.task"), Payload::json(&1).expect("a number"))
}

fn in_memory() -> Store {
    Store::from_adapter(MemoryLedger::new(Arc::new(SystemClock::default()), MemoryOptions::default()))
}

fn said(refused: Result<impl Sized, PublishError>) -> String {
    match refused {
        Ok(_) => panic!("it should be refused"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_ledger_that_takes_part_in_no_transaction_says_what_is_needed() {
    let space = Space::random();
    let mut database = connect(&space.url).await;
    let transaction = database.transaction().await.expect("a transaction begins");
    let client = client_over(in_memory());

    let text = said(PostgresClientExt::publish_in(&client, &transaction, task()).await);

    assert!(text.contains("takes no part in a transaction on Postgres"), "{text}");
    let text = client.open_ledger_file().expect_err("there is no file").to_string();
    assert!(text.contains("takes no part in a transaction on SQLite"), "{text}");
}

#[tokio::test]
async fn a_database_without_the_ledgers_schema_is_told_from_the_right_one() {
    let (space, nothing) = (Space::random(), Space::random());
    let client = client_over(Store::from_adapter(space.open(1).await));
    let sql = format!("drop schema {} cascade", space.schema());
    let mut database = connect(&nothing.url).await;
    database.batch_execute(&sql).await.expect("it goes");
    let transaction = database.transaction().await.expect("a transaction begins");

    let text = said(PostgresClientExt::publish_in(&client, &transaction, task()).await);

    assert!(text.contains("it must be on the database that the ledger's URL names"), "{text}");
}

#[tokio::test]
async fn another_file_is_told_from_the_ledgers() {
    let world = upbeat_tests::conformance::embedded::Ledger::create().await;
    let client = client_over(world.store());
    let mut other = rusqlite::Connection::open_in_memory().expect("SQLite opens");
    let transaction = other.transaction().expect("a transaction begins");

    let text = said(SqliteClientExt::publish_in(&client, &transaction, task()));

    assert!(text.contains("open that with `open_ledger_file`"), "{text}");
}

#[tokio::test]
async fn a_savepoint_is_no_commit() {
    let world = Ledger::create().await;
    let ledger = Probe::of(&world);
    let run = ledger.acquire_any(&message()).await;
    let mut database = connect(&world.space().url).await;
    let mut transaction = database.transaction().await.expect("a transaction begins");
    let savepoint = transaction.transaction().await.expect("a savepoint begins");

    let settlement = run.settlement(Verdict::Succeeded { result: None });
    let error = commit(&ledger.store, savepoint, &settlement).await.expect_err("it commits nothing");

    let CommitError::Refused(text) = error else { panic!("{error:?}") };
    assert!(text.contains("this is a savepoint"), "{text}");
    transaction.rollback().await.expect("it is rolled back");
    ledger.succeed(&run).await;
}
