//! The world of the embedded adapters: one SQLite file in a folder of its own, and a clock moved by hand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use tempfile::TempDir;
use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::ledger::Store;
use upbeat_shared::ledger::embedded::{EmbeddedLedger, EmbeddedOptions};
use upbeat_shared::sqlite::SqliteFile;
use upbeat_shared::transport::Transport;
use upbeat_shared::transport::embedded::EmbeddedTransport;

use super::{LedgerWorld, TransportWorld};
use crate::clock::HandClock;

/// Opens the file as a process of its own would, and the ledger on it.
pub async fn open_ledger(path: &Path, clock: Arc<dyn Clock>) -> Store {
    ledger_on(SqliteFile::open(path, clock).expect("the file can be opened")).await
}

/// The ledger on an open file.
pub async fn ledger_on(file: Arc<SqliteFile>) -> Store {
    let ledger = EmbeddedLedger::open(file, EmbeddedOptions::default()).await;
    Store::from_adapter(ledger.expect("its tables can be made"))
}

/// A ledger on a file.
#[derive(Debug)]
pub struct Ledger {
    folder: TempDir,
    clock: Arc<HandClock>,
    store: Mutex<Store>,
}

impl Ledger {
    /// The file, for a test that looks beneath the ports.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("upbeat.db")
    }
}

#[async_trait]
impl LedgerWorld for Ledger {
    async fn create() -> Self {
        let folder = TempDir::with_prefix("upbeat-ledger-").expect("a folder can be made");
        let clock = HandClock::noon();
        let store = Mutex::new(open_ledger(&folder.path().join("upbeat.db"), clock.clone()).await);
        Self { folder, clock, store }
    }

    fn store(&self) -> Store {
        self.store.lock().expect("no holder panics").clone()
    }

    async fn connect(&self) -> Store {
        open_ledger(&self.path(), self.clock.clone()).await
    }

    fn forward(&self, by: Duration) {
        self.clock.forward(by);
    }

    async fn set_back(&self, by: Duration) {
        self.clock.set_wall(-SignedDuration::try_from(by).expect("some hours or days"));
        let store = self.connect().await;
        *self.store.lock().expect("no holder panics") = store;
    }
}

/// A broker on a file.
#[derive(Debug)]
pub struct Broker {
    folder: TempDir,
    transport: Mutex<Arc<dyn Transport>>,
}

#[async_trait]
impl TransportWorld for Broker {
    async fn create() -> Self {
        let folder = TempDir::with_prefix("upbeat-broker-").expect("a folder can be made");
        let transport = Mutex::new(open_transport(&folder).await);
        Self { folder, transport }
    }

    fn transport(&self) -> Arc<dyn Transport> {
        self.transport.lock().expect("no holder panics").clone()
    }

    async fn connect(&self) -> Arc<dyn Transport> {
        open_transport(&self.folder).await
    }
}

async fn open_transport(folder: &TempDir) -> Arc<dyn Transport> {
    let file = SqliteFile::open(&folder.path().join("upbeat.db"), Arc::new(SystemClock::default()));
    let transport = EmbeddedTransport::open(file.expect("the file can be opened")).await;
    transport.expect("its tables can be made")
}
