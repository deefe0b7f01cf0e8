//! The ledger in memory: as quick as a map, gone with its process.
//!
//! For tests and simulations. Every row of its tables is a value, every transition a plain function of state and now; a
//! port's method locks once, does its batch, and wakes who waits. It starts no thread, reads no clock but the one that it
//! was given, and draws no random number: the same calls get the same answers, in the same order.

mod act;
mod agenda;
mod catalog;
mod claim;
mod holding;
mod inspect;
mod leases;
mod limit;
mod member;
mod occurrence;
mod park;
mod purge;
mod reap;
mod records;
mod row;
mod settle;
mod state;
mod unique;
mod wake;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::holding::Holding;
use super::stored::instant;
use super::{
    ClaimAnswer, ClaimRequest, Ledger, LedgerError, OwnedClaim, Retention, Schema, SchemaStatus,
    SettleAnswer, Settlement,
};
use crate::clock::{Clock, HostTime};
use crate::id::OwnerId;
use crate::limit::Turn;
use crate::member::{Heartbeat, HeartbeatAnswer};

use state::{State, Write};
use wake::Signals;

/// The version of what it keeps: there is no older one.
const SCHEMA: u32 = 1;

/// How the ledger in memory judges.
#[derive(Clone, Copy, Debug)]
pub struct MemoryOptions {
    /// A message without a row that was first published longer ago than this is dead on arrival: its id could have been
    /// forgotten. See [`Retention::stale_after`].
    pub stale_after: Duration,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { stale_after: Retention::default().stale_after() }
    }
}

/// Every ledger port, in memory.
///
/// ```
/// use std::sync::Arc;
/// use upbeat_shared::clock::SystemClock;
/// use upbeat_shared::ledger::Store;
/// use upbeat_shared::ledger::memory::{MemoryLedger, MemoryOptions};
///
/// let ledger = MemoryLedger::new(Arc::new(SystemClock::default()), MemoryOptions::default());
/// let store = Store::from_adapter(ledger);
/// # let _ = store;
/// ```
pub struct MemoryLedger {
    shared: Arc<Shared>,
    time: HostTime,
    /// The agenda's signal as it was when somebody last looked at what is due.
    agenda_seen: AtomicU64,
}

/// What every ledger over the same rows shares.
struct Shared {
    state: Mutex<State>,
    signals: Signals,
    options: MemoryOptions,
}

impl MemoryLedger {
    /// An empty one. The store's time is this clock's wall time, never going back.
    pub fn new(clock: Arc<dyn Clock>, options: MemoryOptions) -> Arc<Self> {
        let shared = Shared { state: Mutex::default(), signals: Signals::default(), options };
        Self::over(Arc::new(shared), clock)
    }

    /// Another process over the same rows, on a host with this clock.
    pub fn another(&self, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::over(self.shared.clone(), clock)
    }

    fn over(shared: Arc<Shared>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { shared, time: HostTime::new(clock), agenda_seen: AtomicU64::new(0) })
    }

    /// Runs one operation on the state, alone, then wakes whoever waits for what it did.
    fn write<T>(&self, operation: impl FnOnce(&mut Write<'_>) -> T) -> T {
        let mut state = self.shared.state.lock().expect("no holder of the state panics");
        let mut write = Write::new(&mut state, self.time.now());
        let answer = operation(&mut write);
        let touched = write.touched();
        drop(state);
        self.shared.signals.raise(touched);
        answer
    }

    /// Looks at the state.
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.state.lock().expect("no holder of the state panics"))
    }

    fn saw_agenda(&self) {
        self.agenda_seen.store(self.shared.signals.agenda(), Ordering::Relaxed);
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger").finish_non_exhaustive()
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn now(&self) -> Result<Timestamp, LedgerError> {
        Ok(instant(self.time.now()))
    }

    async fn claim(&self, owner: OwnerId, batch: Vec<ClaimRequest>) -> Result<Vec<ClaimAnswer>, LedgerError> {
        let stale_after = self.shared.options.stale_after;
        Ok(self.write(|write| claim::claim(write, owner, batch, stale_after)))
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettleAnswer>, LedgerError> {
        Ok(self.write(|write| settle::settle(write, batch)))
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, LedgerError> {
        Ok(self.write(|write| member::heartbeat(write, heartbeat)))
    }

    async fn mine(&self, owner: OwnerId) -> Result<Vec<OwnedClaim>, LedgerError> {
        Ok(self.read(|state| member::mine(state, owner)))
    }

    async fn release(&self, owner: OwnerId, claims: Vec<OwnedClaim>) -> Result<u64, LedgerError> {
        Ok(self.write(|write| settle::release(write, owner, &claims)))
    }

    async fn line_up(&self, turns: Vec<Turn>) -> Result<Vec<bool>, LedgerError> {
        Ok(self.write(|write| turns.iter().map(|turn| limit::line_up(write, turn)).collect()))
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), LedgerError> {
        self.write(|write| member::leave(write, owner));
        Ok(())
    }
}

#[async_trait]
impl Schema for MemoryLedger {
    async fn status(&self) -> Result<SchemaStatus, LedgerError> {
        Ok(SchemaStatus { found: SCHEMA, known: SCHEMA })
    }

    async fn up(&self) -> Result<Vec<u32>, LedgerError> {
        Ok(Vec::new())
    }

    async fn holdings(&self) -> Result<Vec<Holding>, LedgerError> {
        Ok(self.read(holding::holdings))
    }

    fn describe(&self) -> String {
        "this process's memory; nothing of it is kept".to_owned()
    }
}
