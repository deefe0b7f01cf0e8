//! The world of the Postgres adapter: one schema of a random name, dropped afterwards, and a clock that can be moved.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::{Client, NoTls};
use upbeat_shared::config::ServiceUrl;
use upbeat_shared::ledger::Store;
use upbeat_shared::ledger::postgres::{PostgresLedger, PostgresOptions};
use upbeat_shared::name::Namespace;
use uuid::Uuid;

use super::LedgerWorld;
use crate::services;

/// A connection of the test's own.
pub async fn connect(url: &ServiceUrl) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url.expose(), NoTls).await.expect("the test's PostgreSQL answers");
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// A namespace of a random name, whose schema is dropped at the end.
#[derive(Debug)]
pub struct Space {
    /// The server.
    pub url: ServiceUrl,
    /// The namespace.
    pub namespace: Namespace,
}

impl Space {
    /// On the server that tests share. Makes nothing yet.
    pub fn random() -> Self {
        let name = format!("t{}", Uuid::new_v4().simple());
        Self { url: services::postgres::url(), namespace: Namespace::new(name).expect("letters and digits") }
    }

    /// The schema's name, as it stands in a statement.
    pub fn schema(&self) -> String {
        format!("\"upbeat_{}\"", self.namespace)
    }

    /// Options for a process with so many connections.
    pub fn options(&self, connections: u32) -> PostgresOptions {
        PostgresOptions { connections, ..PostgresOptions::new(self.url.clone(), self.namespace.clone()) }
    }

    /// The ledger, as a process with so many connections opens it.
    pub async fn open(&self, connections: u32) -> Arc<PostgresLedger> {
        PostgresLedger::open(self.options(connections)).await.expect("the ledger can be opened")
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        sweep(&self.url, format!("drop schema if exists {} cascade", self.schema()));
    }
}

/// Runs a statement at the end of a test, however it ends.
pub fn sweep(url: &ServiceUrl, sql: String) {
    let url = url.clone();
    // The test's own runtime may be the one that is ending.
    let swept = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let swept = async {
            let client = connect(&url).await;
            // A test that failed in the middle of a transaction may still hold a lock.
            client.batch_execute("set lock_timeout = '5s'").await?;
            client.batch_execute(&sql).await
        };
        drop(runtime.expect("a runtime can be made").block_on(swept));
    });
    drop(swept.join());
}

/// A connection on a thread of its own, for what a test asks between two steps: the runtime of the test stands still then.
#[derive(Debug)]
struct Clock(SyncSender<(String, SyncSender<()>)>);

impl Clock {
    fn start(url: ServiceUrl) -> Self {
        let (asks, asked) = sync_channel::<(String, SyncSender<()>)>(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            let client = runtime.block_on(connect(&url));
            // Ends with the world, which holds the other end.
            while let Ok((sql, done)) = asked.recv() {
                runtime.block_on(client.batch_execute(&sql)).expect("the clock can be moved");
                let _ = done.send(());
            }
        });
        Self(asks)
    }

    fn run(&self, sql: String) {
        let (done, is_done) = sync_channel(1);
        self.0.send((sql, done)).expect("the clock's thread lives");
        is_done.recv().expect("the clock was moved");
    }
}

/// A ledger in a schema of its own, whose clock a test can move.
#[derive(Debug)]
pub struct Ledger {
    space: Space,
    clock: Clock,
    store: Mutex<Store>,
}

impl Ledger {
    /// Where it is, for a test that looks beneath the ports.
    pub fn space(&self) -> &Space {
        &self.space
    }

    fn shift(&self, by: i64) {
        self.clock.run(format!("update {}.test_clock set shift = shift + {by}", self.space.schema()));
    }
}

#[async_trait]
impl LedgerWorld for Ledger {
    async fn create() -> Self {
        let space = Space::random();
        let ledger = space.open(3).await;
        let schema = space.schema();
        let clock = Clock::start(space.url.clone());
        // The one function that tells the time, replaced by one that is wrong by as much as the test says. It is noon of
        // the day of the messages that tests make.
        clock.run(format!(
            "create table {schema}.test_clock (shift bigint not null);
             insert into {schema}.test_clock
                 select ((extract(epoch from timestamptz '2026-05-06T12:00:00Z')
                     - extract(epoch from clock_timestamp())) * 1000000)::bigint;
             create or replace function {schema}.now_us() returns bigint language sql volatile as
             $$ select (extract(epoch from clock_timestamp()) * 1000000)::bigint
                    + (select shift from {schema}.test_clock) $$"
        ));
        Self { space, clock, store: Mutex::new(Store::from_adapter(ledger)) }
    }

    fn store(&self) -> Store {
        self.store.lock().expect("no holder panics").clone()
    }

    async fn connect(&self) -> Store {
        Store::from_adapter(self.space.open(3).await)
    }

    fn forward(&self, by: Duration) {
        self.shift(i64::try_from(by.as_micros()).expect("some years"));
    }

    async fn set_back(&self, by: Duration) {
        self.shift(-i64::try_from(by.as_micros()).expect("some hours or days"));
        let store = self.connect().await;
        *self.store.lock().expect("no holder panics") = store;
    }
}
