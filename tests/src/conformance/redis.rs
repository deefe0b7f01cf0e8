//! The world of the Redis adapter: one namespace of a random name, whose keys are removed afterwards, and a clock that can be
//! moved.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Commands, FromRedisValue};
use upbeat_shared::config::ServiceUrl;
use upbeat_shared::ledger::Store;
use upbeat_shared::ledger::redis::{RedisLedger, RedisOptions, StoreTime};
use upbeat_shared::name::Namespace;
use uuid::Uuid;

pub use redis::Connection;

use super::LedgerWorld;
use crate::services::redis::Version;

/// A connection of the test's own.
pub fn connect(url: &ServiceUrl) -> Connection {
    let client = redis::Client::open(url.expose()).expect("the test's URL is one of Redis");
    client.get_connection().expect("the test's Redis answers")
}

/// Sends a command, for what a test does beneath the ports.
pub fn ask<T: FromRedisValue>(connection: &mut Connection, words: &[&str]) -> T {
    let (name, rest) = words.split_first().expect("a command has a name");
    let answer = redis::cmd(name).arg(rest).query(connection);
    answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// A namespace of a random name, whose keys are removed at the end.
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
        Self::on(Version::Redis8.url())
    }

    /// On a server.
    pub fn on(url: ServiceUrl) -> Self {
        let name = format!("t{}", Uuid::new_v4().simple());
        Self { url, namespace: Namespace::new(name).expect("letters and digits") }
    }

    /// Options for a process with so many connections.
    pub fn options(&self, connections: u32) -> RedisOptions {
        RedisOptions { connections, ..RedisOptions::new(self.url.clone(), self.namespace.clone()) }
    }

    /// The ledger, as a process with so many connections opens it.
    pub async fn open(&self, connections: u32) -> Arc<RedisLedger> {
        RedisLedger::open(self.options(connections)).await.expect("the ledger can be opened")
    }

    /// What every key begins with.
    pub fn prefix(&self) -> String {
        self.options(1).prefix()
    }

    /// Sends a command to the server.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        ask(&mut connect(&self.url), words)
    }

    /// Bytes of all its keys, by the server's own account.
    pub fn bytes(&self) -> usize {
        let mut connection = connect(&self.url);
        let usage = |key: Vec<u8>| {
            let mut command = redis::cmd("MEMORY");
            command.arg("USAGE").arg(key).arg("SAMPLES").arg(1000);
            command.query::<Option<usize>>(&mut connection).expect("the server tells").unwrap_or(0)
        };
        self.keys().into_iter().map(usage).sum()
    }

    /// Every key of it.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut connection = connect(&self.url);
        let keys = connection
            .scan_match::<_, Vec<u8>>(format!("{}*", self.prefix()))
            .expect("the keys can be listed");
        keys.collect::<Result<_, _>>().expect("the keys can be listed")
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // The server may be one that the test has ended.
        let Ok(client) = redis::Client::open(self.url.expose()) else { return };
        let Ok(mut connection) = client.get_connection_with_timeout(Duration::from_secs(2)) else { return };
        let keys = connection.scan_match::<_, Vec<u8>>(format!("{}*", self.prefix()));
        let keys: Vec<Vec<u8>> = keys.map(|keys| keys.flatten().collect()).unwrap_or_default();
        for keys in keys.chunks(1000) {
            drop(connection.unlink::<_, ()>(keys));
        }
    }
}

/// A ledger in a namespace of its own, whose clock a test can move.
#[derive(Debug)]
struct World {
    space: Space,
    store: Mutex<Store>,
}

impl World {
    fn shift(&self, by: i64) {
        connect(&self.space.url).incr::<_, _, ()>(clock_of(&self.space), by).expect("the clock can be moved");
    }

    async fn open(space: &Space) -> Store {
        // The one expression that tells the time, replaced by one that is wrong by as much as the test says.
        let time = "(function() local t = redis.call('TIME') \
                    return t[1] * 1000000 + t[2] + (redis.call('GET', P .. 'test_clock') or 0) end)()";
        let options = RedisOptions { time: StoreTime::of_lua(time), ..space.options(3) };
        Store::from_adapter(RedisLedger::open(options).await.expect("the ledger can be opened"))
    }
}

fn clock_of(space: &Space) -> String {
    format!("{}test_clock", space.prefix())
}

impl World {
    async fn create(version: Version) -> Self {
        let space = Space::on(version.url());
        // It is noon of the day of the messages that tests make.
        let noon: jiff::Timestamp = "2026-05-06T12:00:00Z".parse().expect("an instant");
        let (seconds, micros): (i64, i64) =
            redis::cmd("TIME").query(&mut connect(&space.url)).expect("the server tells its time");
        let shift = noon.as_microsecond() - seconds * 1_000_000 - micros;
        connect(&space.url).set::<_, _, ()>(clock_of(&space), shift).expect("the clock can be set");
        let store = Mutex::new(Self::open(&space).await);
        Self { space, store }
    }
}

macro_rules! worlds {
    ($($(#[$doc:meta])* $world:ident: $version:expr,)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $world(World);

            impl $world {
                /// Where it is, for a test that looks beneath the ports.
                pub fn space(&self) -> &Space {
                    &self.0.space
                }
            }

            #[async_trait]
            impl LedgerWorld for $world {
                async fn create() -> Self {
                    Self(World::create($version).await)
                }

                fn store(&self) -> Store {
                    self.0.store.lock().expect("no holder panics").clone()
                }

                async fn connect(&self) -> Store {
                    World::open(&self.0.space).await
                }

                fn forward(&self, by: Duration) {
                    self.0.shift(i64::try_from(by.as_micros()).expect("some years"));
                }

                async fn set_back(&self, by: Duration) {
                    self.0.shift(-i64::try_from(by.as_micros()).expect("some hours or days"));
                    let store = self.connect().await;
                    *self.0.store.lock().expect("no holder panics") = store;
                }
            }
        )+
    };
}

worlds! {
    /// Redis 7.
    Redis7: Version::Redis7,
    /// Redis 8.
    Redis8: Version::Redis8,
    /// Valkey.
    Valkey: Version::Valkey,
}
