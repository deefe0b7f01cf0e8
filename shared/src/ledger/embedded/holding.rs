//! What the file holds, for the doctor. Reads only.

use rusqlite::{Connection, OptionalExtension};

use super::row::instant;
use crate::ledger::holding::{COUNTED, Holding, Part};
use crate::sqlite::SqliteError;

/// A file larger than this is not measured table by table, which would mean to read all of it.
const MEASURED: i64 = 256 * 1024 * 1024;

/// Part, table, its indexes' names as a pattern, and what finds its oldest row.
const PARTS: [(Part, &str, &str, Option<&str>); 5] = [
    (Part::Tasks, "task", "task\\_%", Some("SELECT recorded_at FROM task ORDER BY row LIMIT 1")),
    (Part::Details, "detail", "", None),
    (Part::Occurrences, "occurrence", "occurrence\\_%", Some("SELECT min(until_at) FROM occurrence")),
    (Part::UniqueKeys, "unique_hold", "unique\\_hold\\_%", None),
    (Part::Members, "member", "", None),
];

pub(super) fn holdings(read: &Connection) -> Result<Vec<Holding>, SqliteError> {
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let is_small = read.query_row(size, [], |row| row.get::<_, i64>(0))? <= MEASURED;
    let mut holdings = Vec::with_capacity(PARTS.len());
    for (part, table, indexes, oldest) in PARTS {
        let count = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {COUNTED})");
        let count: i64 = read.query_row(&count, [], |row| row.get(0))?;
        let oldest: Option<i64> = oldest
            .map(|sql| read.query_row(sql, [], |row| row.get(0)).optional())
            .transpose()?
            .flatten()
            .flatten();
        holdings.push(Holding {
            part,
            count: count.unsigned_abs(),
            bytes: if is_small { bytes(read, table, indexes)? } else { None },
            oldest: oldest.map(instant),
        });
    }
    Ok(holdings)
}

fn bytes(read: &Connection, table: &str, indexes: &str) -> Result<Option<u64>, SqliteError> {
    let sql = "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE
            AND (name = ?1 OR name LIKE ?2 ESCAPE '\\' OR name LIKE 'sqlite_autoindex_' || ?1 || '_%')";
    let bytes: Option<i64> = read.prepare_cached(sql)?.query_row((table, indexes), |row| row.get(0))?;
    Ok(bytes.map(i64::unsigned_abs))
}
