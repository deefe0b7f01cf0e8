//! The ledger on the embedded SQLite file.

mod act;
mod agenda;
mod catalog;
mod claim;
mod details;
mod holding;
mod inspect;
mod leases;
mod limit;
mod member;
mod occurrence;
mod park;
mod past;
mod purge;
mod reap;
mod records;
mod row;
mod schema;
mod settle;
mod tally;
mod transaction;
mod unique;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::holding::Holding;
use super::{
    ClaimAnswer, ClaimRequest, Ledger, LedgerError, OwnedClaim, Retention, Schema, SchemaStatus,
    SettleAnswer, Settlement, TransactionHome,
};
use crate::id::{OwnerId, TaskId};
use crate::limit::Turn;
use crate::member::{Heartbeat, HeartbeatAnswer};
use crate::sqlite::{SqliteFile, Topic, component_version, migrate};

pub use rusqlite;
pub use transaction::{SqliteClientExt, commit};

/// How the embedded ledger judges.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedOptions {
    /// A message without a row that was first published longer ago than this is dead on arrival: its id could have been
    /// forgotten. See [`Retention::stale_after`].
    pub stale_after: Duration,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { stale_after: Retention::default().stale_after() }
    }
}

/// Every ledger port, on one file.
pub struct EmbeddedLedger {
    file: Arc<SqliteFile>,
    options: EmbeddedOptions,
    /// The agenda's signal as it was when somebody last looked at what is due.
    agenda_seen: AtomicU64,
}

impl EmbeddedLedger {
    /// Brings the file's tables to this program's version; refuses a newer one.
    pub async fn open(file: Arc<SqliteFile>, options: EmbeddedOptions) -> Result<Arc<Self>, LedgerError> {
        let ledger = Self { file, options, agenda_seen: AtomicU64::new(0) };
        if ledger.status().await?.found != schema::KNOWN {
            ledger.up().await?;
        }
        Ok(Arc::new(ledger))
    }

    /// Waits until `topic` is raised, seen from the count `seen`; or for `at_most`.
    async fn wait_for(&self, topic: Topic, seen: Option<u64>, at_most: Duration) {
        let mut signal = self.file.signals().subscribe(topic);
        if seen.is_some_and(|seen| *signal.borrow() != seen) {
            return;
        }
        // Elapsed or raised, the caller looks again.
        drop(tokio::time::timeout(at_most, signal.changed()).await);
    }

    fn signal(&self, topic: Topic) -> u64 {
        *self.file.signals().subscribe(topic).borrow()
    }

    fn saw_agenda(&self, count: u64) {
        self.agenda_seen.store(count, Ordering::Relaxed);
    }
}

impl fmt::Debug for EmbeddedLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLedger").field("file", &self.file).finish_non_exhaustive()
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn now(&self) -> Result<Timestamp, LedgerError> {
        Ok(self.file.now())
    }

    async fn claim(&self, owner: OwnerId, batch: Vec<ClaimRequest>) -> Result<Vec<ClaimAnswer>, LedgerError> {
        let stale_after = self.options.stale_after;
        Ok(self.file.write(move |write| claim::claim(write, owner, &batch, stale_after)).await?)
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettleAnswer>, LedgerError> {
        Ok(self.file.write(move |write| settle::settle(write, &batch)).await?)
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, LedgerError> {
        Ok(self.file.write(move |write| member::heartbeat(write, &heartbeat)).await?)
    }

    async fn cancels(&self, owner: OwnerId) -> Result<Vec<TaskId>, LedgerError> {
        Ok(self.file.read(move |read| member::cancels(read, owner)).await?)
    }

    async fn mine(&self, owner: OwnerId) -> Result<Vec<OwnedClaim>, LedgerError> {
        Ok(self.file.read(move |read| member::mine(read, owner)).await?)
    }

    async fn release(&self, owner: OwnerId, claims: Vec<OwnedClaim>) -> Result<u64, LedgerError> {
        Ok(self.file.write(move |write| settle::release(write, owner, &claims)).await?)
    }

    async fn line_up(&self, turns: Vec<Turn>) -> Result<Vec<bool>, LedgerError> {
        Ok(self.file.write(move |write| limit::line_up(write, &turns)).await?)
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), LedgerError> {
        Ok(self.file.write(move |write| member::leave(write, owner)).await?)
    }
}

#[async_trait]
impl Schema for EmbeddedLedger {
    async fn status(&self) -> Result<SchemaStatus, LedgerError> {
        let found = self.file.read(|read| component_version(read, schema::COMPONENT)).await?;
        Ok(SchemaStatus { found, known: schema::KNOWN })
    }

    async fn up(&self) -> Result<Vec<u32>, LedgerError> {
        let applied = self.file.write(|write| migrate(write, schema::COMPONENT, schema::MIGRATIONS)).await?;
        Ok(applied)
    }

    async fn holdings(&self) -> Result<Vec<Holding>, LedgerError> {
        Ok(self.file.read(holding::holdings).await?)
    }

    fn describe(&self) -> String {
        format!("embedded SQLite {} at {}", SqliteFile::sqlite_version(), self.file.path().display())
    }

    fn transactions(&self) -> TransactionHome {
        TransactionHome::Sqlite(self.file.clone())
    }
}
