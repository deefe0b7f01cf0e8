//! The program under test: Upbeat with tasks that write an effect and settle themselves in one transaction. It is this very
//! test binary, started again.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::App;
use upbeat::prelude::*;
use upbeat::sqlite::rusqlite::{Transaction, TransactionBehavior};
use upbeat_tests::conformance::postgres::connect;
use upbeat_tests::harness::{enter, note};

/// The server, and the schema as it stands in a statement.
pub(super) const URL: &str = "UPBEAT_TEST_TRANSACTIONS_URL";
pub(super) const SCHEMA: &str = "UPBEAT_TEST_TRANSACTIONS_SCHEMA";

/// The name of the test that becomes the program.
pub(super) const ENTRY: &str = "transactions::program::entry";

/// Not a test but a way in.
#[test]
fn entry() {
    enter(|args| app().run_cli(args));
}

fn app() -> App {
    App::new()
        .task(in_postgres)
        .task_blocking(in_a_file)
        .task(after)
        .on_retry(|retry| async move { note(format_args!("retried {}", retry.message.id)) })
}

/// Writes an effect and commits, and then goes on like this.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Then {
    Returns,
    Fails,
    Panics,
    Sleeps,
    /// Commits once more.
    Repeats,
    /// Publishes another task in the transaction.
    Publishes,
    /// Waits for its gate before it commits.
    Waits,
    /// Settles by SQL, behind its worker's back, and fails.
    SettlesBySql,
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "in_postgres", output = i64)]
struct InPostgres(Then);

#[derive(Serialize, Deserialize, Task)]
#[task(name = "in_a_file", output = i64)]
struct InAFile(Then);

#[derive(Serialize, Deserialize, Task)]
#[task(name = "after")]
struct After;

async fn after(_: After, ctx: Context) -> Result<(), Error> {
    note(format_args!("after {}", ctx.id()));
    Ok(())
}

async fn in_postgres(InPostgres(then): InPostgres, ctx: Context) -> Result<i64, Error> {
    use upbeat::postgres::{PostgresClientExt as _, PostgresContextExt as _};
    note(format_args!("begin {} {}", ctx.id(), ctx.fence().0));
    let mut database = connect(&std::env::var(URL)?.parse()?).await;
    let sql = format!("insert into {}.test_effect values ($1)", std::env::var(SCHEMA)?);
    let transaction = database.transaction().await?;
    transaction.execute(&sql, &[&ctx.id().to_string()]).await?;
    if then == Then::SettlesBySql {
        let sql = format!("select {}.settle($1, $2, $3, '7')", std::env::var(SCHEMA)?);
        transaction.execute(&sql, &[&ctx.id().0, &ctx.fence().0, &ctx.run().token.0]).await?;
        transaction.commit().await?;
        return Err("it fails after its commit".into());
    }
    if then == Then::Waits {
        while gate(&ctx).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    if then == Then::Publishes {
        ctx.client().publish_in(&transaction, After).await?;
    }
    let committed = ctx.commit_with(transaction, &ctx.fence().0).await;
    note(format_args!("{} {}", if committed.is_ok() { "committed" } else { "refused" }, ctx.id()));
    committed?;
    if then == Then::Repeats {
        let transaction = database.transaction().await?;
        transaction.execute(&sql, &[&ctx.id().to_string()]).await?;
        ctx.commit_with(transaction, &0).await?;
    }
    if then == Then::Sleeps {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    end(then, &ctx)
}

#[allow(clippy::needless_pass_by_value, reason = "so are handlers given what they are given")]
fn in_a_file(InAFile(then): InAFile, ctx: Context) -> Result<i64, Error> {
    use upbeat::sqlite::{SqliteClientExt as _, SqliteContextExt as _};
    note(format_args!("begin {} {}", ctx.id(), ctx.fence().0));
    let mut file = ctx.client().open_ledger_file()?;
    if then == Then::Waits {
        while gate(&ctx).exists() {
            pause();
        }
    }
    let transaction = begin(&mut file, &ctx)?;
    if then == Then::Publishes {
        ctx.client().publish_in(&transaction, After)?;
    }
    let committed = ctx.commit_with(transaction, &ctx.fence().0);
    note(format_args!("{} {}", if committed.is_ok() { "committed" } else { "refused" }, ctx.id()));
    committed?;
    if then == Then::Repeats {
        let transaction = begin(&mut file, &ctx)?;
        ctx.commit_with(transaction, &0)?;
    }
    while then == Then::Sleeps && !ctx.is_cancelled() {
        pause();
    }
    end(then, &ctx)
}

fn begin<'a>(
    file: &'a mut upbeat::sqlite::rusqlite::Connection,
    ctx: &Context,
) -> Result<Transaction<'a>, Error> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("INSERT INTO test_effect VALUES (?1)", [ctx.id().to_string()])?;
    Ok(transaction)
}

fn end(then: Then, ctx: &Context) -> Result<i64, Error> {
    match then {
        Then::Fails | Then::Sleeps => Err("it fails after its commit".into()),
        Then::Panics => panic!("it panics after its commit"),
        Then::Returns | Then::Repeats | Then::Publishes | Then::Waits | Then::SettlesBySql => {
            Ok(ctx.fence().0)
        }
    }
}

fn gate(ctx: &Context) -> PathBuf {
    format!("gate.{}", ctx.id()).into()
}

#[allow(clippy::disallowed_methods, reason = "a handler that blocks its thread may")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
