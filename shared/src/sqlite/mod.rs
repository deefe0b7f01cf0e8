//! The one file and its one writer, beneath both embedded adapters.
//!
//! Each process has one writer thread that commits groups of operations, a few reading connections, and a watcher that
//! sees within 50 ms when another process committed. SQLite's write lock orders processes; nothing else is shared.

mod error;
mod migrate;
mod open;
mod read;
mod signal;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::{Clock, HostTime};

pub use error::SqliteError;
pub(crate) use migrate::{Migration, component_version, migrate};
pub(crate) use signal::Topic;
pub(crate) use write::Write;

use read::Readers;
use signal::Signals;
use write::Writer;

/// An open file.
pub struct SqliteFile {
    path: PathBuf,
    time: Arc<HostTime>,
    signals: Arc<Signals>,
    readers: Readers,
    writer: Writer,
}

impl SqliteFile {
    /// Opens or creates the file and starts its writer. `clock` is the store's: its wall clock, never going back, is the
    /// store's time.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, SqliteError> {
        let connection = open::writer(path)?;
        let time = Arc::new(HostTime::new(clock));
        let signals = Arc::new(Signals::default());
        let writer = Writer::start(connection, path, time.clone(), signals.clone())?;
        signal::watch(open::reader(path)?, Arc::downgrade(&signals))?;
        let readers = Readers::new(path);
        Ok(Arc::new(Self { path: path.to_owned(), time, signals, readers, writer }))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another connection that writes: for transactions of the user's own.
    pub(crate) fn connect(&self) -> Result<rusqlite::Connection, SqliteError> {
        open::writer(&self.path)
    }

    /// The version of SQLite in this build.
    pub fn sqlite_version() -> &'static str {
        rusqlite::version()
    }

    /// The store's time.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.time.now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// Runs `operation` in a transaction that it shares with others; answers after the commit reached the disk.
    ///
    /// It runs even if the returned future is dropped.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Write<'_>) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, SqliteError> {
        self.writer.run(operation).await
    }

    /// Runs `operation` on a reading connection; it sees the last commit.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&rusqlite::Connection) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, SqliteError> {
        self.readers.run(operation).await
    }

    /// What happens to a topic, from now on.
    pub(crate) fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }
}

impl fmt::Debug for SqliteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteFile").field("path", &self.path).finish_non_exhaustive()
    }
}
