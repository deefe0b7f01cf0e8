//! A process's session, and the rescue of what dead sessions held.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::sqlite::{SqliteError, SqliteFile, Topic, Write};
use crate::transport::TransportError;

/// How often a process looks whether another one died.
const LOOK: Duration = Duration::from_secs(1);

/// How many deliveries of each queue consumers that are gone have left with this process.
#[derive(Default)]
pub(super) struct Leftovers(Mutex<HashMap<i64, usize>>);

impl Leftovers {
    pub(super) fn of(&self, queue: i64) -> usize {
        *self.lock().get(&queue).unwrap_or(&0)
    }

    pub(super) fn add(&self, queue: i64, deliveries: usize) {
        *self.lock().entry(queue).or_default() += deliveries;
    }

    pub(super) fn remove(&self, queue: i64, deliveries: usize) {
        let mut counts = self.lock();
        let count = counts.entry(queue).or_default();
        *count = count.saturating_sub(deliveries);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, usize>> {
        self.0.lock().expect("no holder of the counts panics")
    }
}

/// This process's hold on its deliveries.
pub(super) struct Session {
    file: Arc<SqliteFile>,
    pub(super) number: i64,
    pub(super) closed: CancellationToken,
    pub(super) leftovers: Leftovers,
    /// Raised whenever some delivery was settled.
    pub(super) freed: watch::Sender<()>,
    /// Locked while the process lives; the kernel lets go when it dies.
    _lock: File,
    lock_path: PathBuf,
}

impl Session {
    pub(super) async fn open(file: Arc<SqliteFile>) -> Result<Arc<Self>, TransportError> {
        let name = format!("{}.lock", Uuid::new_v4().simple());
        let path = lock_path(file.path(), &name);
        let lock = make_lock(&path).map_err(|error| {
            TransportError::Unavailable(format!("cannot create {}: {error}", path.display()))
        })?;
        let registered = file.write(move |write| {
            write.execute("INSERT INTO session (lock) VALUES (?1)", [&name])?;
            Ok(write.last_insert_rowid())
        });
        let number = registered.await?;
        let session = Arc::new(Self {
            file: file.clone(),
            number,
            closed: CancellationToken::new(),
            leftovers: Leftovers::default(),
            freed: watch::Sender::new(()),
            _lock: lock,
            lock_path: path,
        });
        rescue(&file, number).await?;
        tokio::spawn(rescue_until_closed(file, number, session.closed.clone()));
        Ok(session)
    }

    pub(super) fn check_open(&self) -> Result<(), TransportError> {
        if self.closed.is_cancelled() { Err(TransportError::Closed) } else { Ok(()) }
    }

    /// Gives back what this process holds.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        let number = self.number;
        if let Err(error) = self.file.write(move |write| end(write, number)).await {
            tracing::warn!(%error, "could not give deliveries back; another process will, once this one has ended");
            return;
        }
        // Its row is gone, so nobody else looks for it.
        remove_file(&self.lock_path);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

fn lock_path(file: &Path, name: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    file.with_file_name(format!("{stem}.sessions")).join(name)
}

fn make_lock(path: &Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.lock()?;
    Ok(file)
}

async fn rescue_until_closed(file: Arc<SqliteFile>, own: i64, closed: CancellationToken) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = closed.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        match rescue(&file, own).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "cannot look after the deliveries of ended processes; trying on");
            }
            Err(_) => {}
        }
    }
}

/// Gives back what sessions hold whose process has died.
async fn rescue(file: &Arc<SqliteFile>, own: i64) -> Result<(), TransportError> {
    let path = file.path().to_owned();
    let dead = file.read(move |read| Ok(dead_sessions(&path, &others(read, own)?))).await?;
    for (number, lock) in dead {
        file.write(move |write| end(write, number)).await?;
        tracing::debug!(session = number, "gave back the deliveries of a process that has ended");
        remove_file(&lock);
    }
    Ok(())
}

fn others(read: &Connection, own: i64) -> Result<Vec<(i64, String)>, SqliteError> {
    let mut select = read.prepare_cached("SELECT number, lock FROM session WHERE number != ?1")?;
    let rows = select.query_map([own], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn dead_sessions(file: &Path, sessions: &[(i64, String)]) -> Vec<(i64, PathBuf)> {
    let paths = sessions.iter().map(|(number, name)| (*number, lock_path(file, name)));
    paths.filter(|(_, path)| is_free(path)).collect()
}

/// Nobody holds the lock, or the file is gone.
fn is_free(path: &Path) -> bool {
    match OpenOptions::new().write(true).open(path) {
        Ok(lock) => match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        },
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn end(write: &Write<'_>, number: i64) -> Result<(), SqliteError> {
    write.execute(
        "UPDATE message SET session = NULL, redeliveries = redeliveries + 1 WHERE session = ?1",
        [number],
    )?;
    write.execute("DELETE FROM session WHERE number = ?1", [number])?;
    write.touch(Topic::Queue);
    Ok(())
}

fn remove_file(path: &Path) {
    // Left behind, it does no harm: its session has no row any more.
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "could not remove the lock file of an ended session");
    }
}
