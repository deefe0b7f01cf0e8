//! The embedded broker's table, read with plain SQL: what is really there, whatever the adapter says.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Process, eventually};

/// A look at the file's messages.
#[derive(Debug)]
pub struct Queue {
    connection: Connection,
}

impl Queue {
    /// Over the file of a world in which something ran.
    pub fn open(file: &Path) -> Self {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .expect("the embedded file exists and can be opened");
        connection.busy_timeout(Duration::from_millis(200)).expect("a timeout can be set");
        Self { connection }
    }

    /// Messages that wait for a worker.
    pub fn waiting(&self) -> u32 {
        self.number("SELECT count(*) FROM message WHERE session IS NULL")
    }

    /// Messages, waiting or with a worker.
    pub fn messages(&self) -> u32 {
        self.number("SELECT count(*) FROM message")
    }

    /// How many messages each process that has any holds at this moment.
    pub fn held(&self) -> Vec<u32> {
        let sql = "SELECT count(*) FROM message WHERE session IS NOT NULL GROUP BY session";
        let mut select = self.connection.prepare_cached(sql).expect("the broker's tables are there");
        let rows = select.query_map([], |row| row.get(0)).expect("the file can be read");
        rows.collect::<Result<_, _>>().expect("the file can be read")
    }

    /// Stops a process where it stands, but not in the middle of a write: then it would keep the file's lock, and nothing
    /// in its world could go on.
    pub async fn freeze(&self, process: &Process) {
        eventually("the process can be stopped outside of a write", Duration::from_secs(60), async || {
            process.freeze();
            let outside = self.can_be_written();
            if !outside {
                process.thaw();
            }
            outside
        })
        .await;
    }

    /// Whether nobody stands still with the file's write lock in its hands.
    pub fn can_be_written(&self) -> bool {
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        if begun.is_ok() {
            self.connection.execute_batch("ROLLBACK").expect("a transaction that was begun can be ended");
        }
        begun.is_ok()
    }

    fn number(&self, sql: &str) -> u32 {
        let mut select = self.connection.prepare_cached(sql).expect("the broker's tables are there");
        select.query_row([], |row| row.get(0)).expect("the file can be read")
    }
}
