//! Connections to the file, configured for their part.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SqliteError;

/// How long a writer waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Pages in the write-ahead log before it is moved into the file: 32 MiB, so that a busy writer does it seldom.
const CHECKPOINT_PAGES: u32 = 8192;

pub(super) fn writer(path: &Path) -> Result<Connection, SqliteError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| {
            SqliteError::Unavailable(format!(
                "cannot create the data directory {}: {error}",
                parent.display()
            ))
        })?;
    }
    let mut connection = Connection::open(path).map_err(|error| place(path, error.into()))?;
    configure_writer(&mut connection).map_err(|error| place(path, error))?;
    Ok(connection)
}

fn configure_writer(connection: &mut Connection) -> Result<(), SqliteError> {
    connection.busy_handler(Some(wait_a_little))?;
    write_ahead(connection)?;
    // Every commit reaches the disk before it is answered: accepted means kept.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "cache_size", -16 * 1024)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(())
}

/// The change to a write-ahead log takes the whole file. Of two processes that make it at once (a beat and a worker, on
/// a new file), SQLite refuses one without asking its busy handler.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if is_busy(&error) && wait_a_little(tries) => tries += 1,
            changed => return changed,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

pub(super) fn reader(path: &Path) -> Result<Connection, SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| place(path, error.into()))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -2 * 1024)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// SQLite's own handler backs off up to 100 ms, which starves a process beside a busy one.
#[allow(clippy::disallowed_methods, reason = "the writer's own thread waits; no runtime stands still")]
fn wait_a_little(tries: i32) -> bool {
    const PAUSE: Duration = Duration::from_micros(500);
    std::thread::sleep(PAUSE);
    PAUSE * u32::try_from(tries).unwrap_or(0) < BUSY_TIMEOUT
}

fn place(path: &Path, error: SqliteError) -> SqliteError {
    match error {
        SqliteError::Unavailable(reason) => SqliteError::Unavailable(format!("{}: {reason}", path.display())),
        SqliteError::Invalid(reason) => SqliteError::Invalid(format!("{}: {reason}", path.display())),
        newer @ SqliteError::Newer { .. } => newer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn a_new_file_can_be_opened_by_many_at_once() {
        const OPENERS: usize = 8;
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("new.sqlite3");
            let start = Barrier::new(OPENERS);
            std::thread::scope(|scope| {
                let open = || {
                    start.wait();
                    writer(&path).map(drop)
                };
                let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(open)).collect();
                for opener in openers {
                    opener.join().unwrap().unwrap();
                }
            });
        }
    }
}
