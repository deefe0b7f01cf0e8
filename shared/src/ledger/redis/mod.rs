//! The ledger on Redis (7 and later) or Valkey.
//!
//! A batch of a task's steps is one script: one round trip, and nothing of anybody else's in between. Scripts keep a row as
//! packed bytes in one hash, with the message and what came of it in others, so that a task costs no key of its own. Whatever
//! is compared with now is compared with the server's clock, in the script.
//!
//! Every key begins with `upbeat:{NAMESPACE}:`. The braces are a hash tag: a cluster keeps all of a namespace in one slot.
//!
//! A server that forgets (a crash within its fsync window, a failover, `FLUSHALL`) cannot be made to remember. What it forgot
//! is never taken for something else: a claim is a random token and a fence that is at least the server's microseconds, so no
//! settle of a forgotten claim fits a new one; and a message whose seq is higher than the row's tells that a move was forgotten.

mod act;
mod agenda;
mod catalog;
mod claim;
mod connect;
mod error;
mod holding;
mod inspect;
mod leases;
mod limit;
mod member;
mod occurrence;
mod packed;
mod past;
mod ports;
mod records;
mod reply;
mod row;
mod schema;
mod script;
mod server;
mod session;
mod settle;
mod window;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::pace::Pace;
use super::{LedgerError, Retention};
use crate::config::{ServiceUrl, TlsFiles};
use crate::name::Namespace;
use script::{Call, Scripts};
use server::Server;
use session::Session;

/// The longest time until a beat looks at an idle agenda again.
const IDLE_AGENDA: Duration = Duration::from_millis(100);

/// The longest time until somebody who waits for an end looks again.
const IDLE_ENDS: Duration = Duration::from_millis(250);

/// Where the ledger is, and how it is used.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// `redis://user:password@host:port/database`, or `rediss://…` with TLS: then the server's certificate must come from a
    /// known authority and name the URL's host. Of a cluster, any node.
    pub url: ServiceUrl,
    /// Whose world it is.
    pub namespace: Namespace,
    /// How many connections are opened at most.
    pub connections: u32,
    /// Authorities in place of the system's, and this program's own certificate.
    pub tls: TlsFiles,
    /// What the server shows as the connections' name.
    pub name: String,
    /// A message without a row that was first published longer ago than this is dead on arrival: its id could have been
    /// forgotten. See [`Retention::stale_after`].
    pub stale_after: Duration,
    /// What tells the store's time.
    pub time: StoreTime,
}

impl RedisOptions {
    /// Eight connections, the system's certificates, the default retention.
    pub fn new(url: ServiceUrl, namespace: Namespace) -> Self {
        Self {
            url,
            namespace,
            connections: 8,
            tls: TlsFiles::default(),
            name: "upbeat".to_owned(),
            stale_after: Retention::default().stale_after(),
            time: StoreTime::default(),
        }
    }

    /// What every key begins with.
    pub fn prefix(&self) -> String {
        format!("upbeat:{{{}}}:", self.namespace)
    }
}

/// How scripts tell the time: the server's clock, but for tests, which move it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTime(String);

impl StoreTime {
    /// A Lua expression that answers microseconds since 1970; `P` is what every key begins with. All members of one ledger
    /// must have the same: only tests have another than the default.
    pub fn of_lua(expression: impl Into<String>) -> Self {
        Self(expression.into())
    }

    /// The expression.
    pub fn as_lua(&self) -> &str {
        &self.0
    }
}

impl Default for StoreTime {
    fn default() -> Self {
        Self(script::SERVER_TIME.to_owned())
    }
}

/// Every ledger port, on one server.
pub struct RedisLedger {
    session: Session,
    address: String,
    server: Server,
    stale_after: Duration,
    agenda: Pace,
    /// Whether this process has met a limit: then every end may make somebody due that waited for it.
    limited: AtomicBool,
    ended: Pace,
}

impl RedisLedger {
    /// Connects, and looks whether the server will do: new enough, and one that throws no keys away.
    pub async fn open(options: RedisOptions) -> Result<Arc<Self>, LedgerError> {
        let session = session(&options)?;
        // Any node of a cluster leads to the one that has the keys: that one is meant by what follows.
        session.ask(Call::Now).await?;
        let server = Server::examine(&session).await?;
        let ledger = Self {
            session,
            address: connect::address(&options),
            server,
            stale_after: options.stale_after,
            agenda: Pace::new(IDLE_AGENDA),
            limited: AtomicBool::new(false),
            ended: Pace::new(IDLE_ENDS),
        };
        ledger.bring_up().await?;
        Ok(Arc::new(ledger))
    }

    /// Removes everything of a namespace: every task, schedule and record. There is no way back.
    pub async fn remove(options: RedisOptions) -> Result<(), LedgerError> {
        let session = session(&options)?;
        session.ask(Call::Now).await?;
        Ok(schema::remove(&session).await?)
    }
}

fn session(options: &RedisOptions) -> Result<Session, LedgerError> {
    Ok(Session {
        pool: connect::pool(options)?,
        scripts: Scripts::new(&options.time.0),
        prefix: options.prefix(),
    })
}

impl fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLedger")
            .field("address", &self.address)
            .field("prefix", &self.session.prefix)
            .finish_non_exhaustive()
    }
}
