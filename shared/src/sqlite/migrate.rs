//! Versions of the tables, by component: the ledger's and the transport's are changed apart.

use rusqlite::{Connection, OptionalExtension};

use super::{SqliteError, Write};

/// One step: the version that it leads to, and its statements.
pub(crate) struct Migration {
    pub(crate) version: u32,
    pub(crate) sql: &'static str,
}

/// Brings a component's tables to the last of `migrations`; answers the versions applied. Refuses a newer schema.
pub(crate) fn migrate(
    write: &Write<'_>,
    component: &'static str,
    migrations: &[Migration],
) -> Result<Vec<u32>, SqliteError> {
    write.execute_batch(
        "CREATE TABLE IF NOT EXISTS component (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
    )?;
    let found = component_version(write, component)?;
    let known = migrations.last().map_or(0, |migration| migration.version);
    if found > known {
        return Err(SqliteError::Newer { component, found, known });
    }
    let mut applied = Vec::new();
    for migration in migrations.iter().filter(|migration| migration.version > found) {
        write.execute_batch(migration.sql)?;
        write.execute(
            "INSERT INTO component (name, version) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            (component, migration.version),
        )?;
        applied.push(migration.version);
    }
    Ok(applied)
}

/// The version of a component's tables; 0 if there are none yet.
pub(crate) fn component_version(connection: &Connection, component: &str) -> Result<u32, SqliteError> {
    let exists = connection
        .query_row("SELECT 1 FROM sqlite_master WHERE name = 'component'", [], |_| Ok(()))
        .optional()?;
    if exists.is_none() {
        return Ok(0);
    }
    let version = connection
        .query_row("SELECT version FROM component WHERE name = ?1", [component], |row| row.get(0))
        .optional()?;
    Ok(version.unwrap_or(0))
}
