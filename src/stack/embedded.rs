//! The one file beneath the embedded broker and ledger.

#[cfg(feature = "cli")]
use std::path::Path;
use std::sync::Arc;

use upbeat_shared::clock::Clock;
use upbeat_shared::config::Config;
#[cfg(not(feature = "embedded"))]
use upbeat_shared::config::{BrokerUrl, LedgerUrl};
#[cfg(feature = "embedded")]
use upbeat_shared::ledger::LedgerError;
use upbeat_shared::ledger::Store;
use upbeat_shared::transport::Transport;
#[cfg(feature = "embedded")]
use upbeat_shared::transport::TransportError;

#[cfg(not(feature = "embedded"))]
use super::OpenError;
#[cfg(feature = "embedded")]
use super::Stack;

/// Broker and ledger share one file, opened by whichever of them is embedded.
#[cfg(feature = "embedded")]
pub(super) struct Files<'a> {
    config: &'a Config,
    clock: Arc<dyn Clock>,
    open: Option<Arc<upbeat_shared::sqlite::SqliteFile>>,
}

#[cfg(feature = "embedded")]
impl<'a> Files<'a> {
    pub(super) fn new(config: &'a Config, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, open: None }
    }

    fn file(&mut self) -> Result<Arc<upbeat_shared::sqlite::SqliteFile>, upbeat_shared::sqlite::SqliteError> {
        if let Some(file) = &self.open {
            return Ok(file.clone());
        }
        let path = Stack::embedded_file(self.config).expect("broker or ledger is embedded");
        let file = upbeat_shared::sqlite::SqliteFile::open(&path, self.clock.clone())?;
        Ok(self.open.insert(file).clone())
    }

    pub(super) async fn ledger(&mut self) -> Result<Store, LedgerError> {
        use upbeat_shared::ledger::embedded::{EmbeddedLedger, EmbeddedOptions};
        let options = EmbeddedOptions { stale_after: self.config.retention.stale_after() };
        Ok(Store::from_adapter(EmbeddedLedger::open(self.file()?, options).await?))
    }

    pub(super) async fn transport(&mut self) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(upbeat_shared::transport::embedded::EmbeddedTransport::open(self.file()?).await?)
    }
}

#[cfg(not(feature = "embedded"))]
pub(super) struct Files;

#[cfg(not(feature = "embedded"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
impl Files {
    pub(super) fn new(_config: &Config, _clock: Arc<dyn Clock>) -> Self {
        Self
    }

    pub(super) async fn ledger(&mut self) -> Result<Store, OpenError> {
        Err(OpenError::no_adapter(&LedgerUrl::Embedded))
    }

    pub(super) async fn transport(&mut self) -> Result<Arc<dyn Transport>, OpenError> {
        Err(OpenError::no_adapter(&BrokerUrl::Embedded))
    }
}

/// Removes the file of a world that is closed, and what lies beside it.
#[cfg(feature = "cli")]
pub(super) fn remove(file: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(end);
        // One that is not there need not be removed.
        drop(std::fs::remove_file(path));
    }
    drop(std::fs::remove_dir_all(file.with_extension("sessions")));
    // And the data directory, if nothing else is in it.
    drop(file.parent().map(std::fs::remove_dir));
}
