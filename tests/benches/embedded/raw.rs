//! The baseline: what SQLite itself does with one row a task, at the same durability.

use std::time::Instant;

use rusqlite::Connection;

/// Rows in one transaction, as many as a busy worker's batch.
const BATCH: usize = 500;

pub(crate) fn version() -> &'static str {
    rusqlite::version()
}

/// Inserts, updates and deletes one row a task, each step a transaction of 500 rows that reaches the disk.
pub(crate) fn rows_per_second(tasks: usize) -> f64 {
    let path = super::directory("bench-raw").join("raw.sqlite3");
    let mut connection = Connection::open(path).expect("a file in an empty directory");
    run(&mut connection, tasks).expect("plain statements")
}

fn run(connection: &mut Connection, tasks: usize) -> rusqlite::Result<f64> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "CREATE TABLE task (row INTEGER PRIMARY KEY, id BLOB UNIQUE, state INTEGER, body BLOB)",
    )?;
    let body = vec![b'x'; 256];
    let ids: Vec<[u8; 16]> = (0..tasks).map(|_| *uuid::Uuid::now_v7().as_bytes()).collect();
    let started = Instant::now();
    for batch in ids.chunks(BATCH) {
        let transaction = connection.transaction()?;
        for id in batch {
            let sql = "INSERT INTO task (id, state, body) VALUES (?1, 0, ?2)";
            transaction.prepare_cached(sql)?.execute((id, &body))?;
        }
        transaction.commit()?;
    }
    for sql in ["UPDATE task SET state = 1 WHERE id = ?1", "DELETE FROM task WHERE id = ?1"] {
        for batch in ids.chunks(BATCH) {
            let transaction = connection.transaction()?;
            for id in batch {
                transaction.prepare_cached(sql)?.execute([id])?;
            }
            transaction.commit()?;
        }
    }
    Ok(tasks as f64 / started.elapsed().as_secs_f64())
}
