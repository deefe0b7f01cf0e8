//! The ledger on Postgres, 15 and later.
//!
//! A namespace has a schema of its own (`upbeat`, or `upbeat_NAMESPACE`). The steps of a task's life are functions of
//! that schema, called with one array a column: one round trip a batch. What is rare is decided here, between a statement
//! that locks rows and one that writes what was decided.
//!
//! Rows are always locked in the order of their ids, and each transaction counts in rows of its own, so batches that
//! overlap wait for each other but never in a circle. Should they after all, the one that Postgres stops is done again.

mod act;
mod add;
mod catalog;
mod change;
mod claim;
mod columns;
mod connect;
mod due;
mod error;
mod foreign;
mod holding;
mod inspect;
mod leases;
mod limit;
mod member;
mod occurrence;
mod park;
mod past;
mod ports;
mod reap;
mod records;
mod rounds;
mod row;
mod schema;
mod session;
mod settle;
mod transaction;
mod unique;
mod window;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool_postgres::Pool;

use super::pace::Pace;
use super::{LedgerError, Retention};
use crate::config::{ServiceUrl, TlsFiles};
use crate::name::Namespace;
use schema::SchemaName;

pub use schema::migrations_sql;
pub use tokio_postgres;
pub use transaction::{PostgresClientExt, PostgresTransaction, commit};

/// The longest time until a beat looks at an idle agenda again. What others publish in transactions of their own waits for
/// half of it, in the median.
const IDLE_AGENDA: Duration = Duration::from_millis(25);

/// The longest time until somebody who waits for an end looks again.
const IDLE_ENDS: Duration = Duration::from_millis(250);

/// Where the ledger is, and how it is used.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`, with further parameters as libpq names them.
    ///
    /// `sslmode` is one of:
    ///
    /// - `disable`: never TLS.
    /// - `prefer` (the default): TLS if the server offers it, else none. An attacker on the way can make it none.
    /// - `require`: TLS or nothing.
    ///
    /// Wherever TLS is used, the server's certificate must come from a known authority and name the URL's host; libpq
    /// calls this `verify-full`.
    pub url: ServiceUrl,
    /// Whose world it is. Its schema's name must not be longer than 63 bytes.
    pub namespace: Namespace,
    /// How many connections are opened at most.
    pub connections: u32,
    /// Authorities in place of the system's, and this program's own certificate.
    pub tls: TlsFiles,
    /// What the server shows as `application_name`.
    pub name: String,
    /// A message without a row that was first published longer ago than this is dead on arrival: its id could have been
    /// forgotten. See [`Retention::stale_after`].
    pub stale_after: Duration,
}

impl PostgresOptions {
    /// Eight connections, the system's certificates, the default retention.
    pub fn new(url: ServiceUrl, namespace: Namespace) -> Self {
        Self {
            url,
            namespace,
            connections: 8,
            tls: TlsFiles::default(),
            name: "upbeat".to_owned(),
            stale_after: Retention::default().stale_after(),
        }
    }
}

/// Every ledger port, on one schema.
pub struct PostgresLedger {
    pool: Pool,
    schema: SchemaName,
    address: String,
    /// The server's version, as it says it.
    server: OnceLock<String>,
    stale_after: Duration,
    agenda: Pace,
    /// Whether this process has met a limit: then every end may make somebody due that waited for it.
    limited: AtomicBool,
    ended: Pace,
}

impl PostgresLedger {
    /// Connects, and brings the schema to this program's version; refuses one that this program cannot work with.
    pub async fn open(options: PostgresOptions) -> Result<Arc<Self>, LedgerError> {
        let schema = SchemaName::of(&options.namespace)?;
        let ledger = Self {
            pool: connect::pool(&options, &schema)?,
            schema,
            address: connect::address(&options),
            server: OnceLock::new(),
            stale_after: options.stale_after,
            agenda: Pace::new(IDLE_AGENDA),
            limited: AtomicBool::new(false),
            ended: Pace::new(IDLE_ENDS),
        };
        ledger.bring_up().await.map_err(|fault| match LedgerError::from(fault) {
            // Later calls go to where this one has been: it is here that somebody may have mistyped it.
            LedgerError::Unavailable(reason) => {
                LedgerError::Unavailable(format!("Postgres at {}: {reason}", ledger.address))
            }
            other => other,
        })?;
        Ok(Arc::new(ledger))
    }

    /// Removes a namespace's schema with every task, schedule and record in it. There is no way back.
    pub async fn remove(options: PostgresOptions) -> Result<(), LedgerError> {
        let schema = SchemaName::of(&options.namespace)?;
        Ok(schema::remove(&connect::pool(&options, &schema)?, &schema).await?)
    }
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLedger")
            .field("address", &self.address)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
