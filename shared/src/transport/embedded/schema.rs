//! The transport's tables.
//!
//! A message's number may be given again once it is gone: an acknowledgement names the session too.
//! A message waits while `session` is null and is with that session's process otherwise. Acknowledged, it is gone.

use crate::sqlite::Migration;

/// Whose versions these are.
pub(super) const COMPONENT: &str = "transport";

/// Every version since the first; a released one never changes.
pub(super) const MIGRATIONS: &[Migration] = &[Migration { version: 1, sql: V1 }];

const V1: &str = "
CREATE TABLE queue (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE message (
    number INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    session INTEGER,
    redeliveries INTEGER NOT NULL DEFAULT 0,
    wire BLOB NOT NULL
);
CREATE INDEX message_ready ON message (queue, rank, number) WHERE session IS NULL;
CREATE TABLE session (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    lock TEXT NOT NULL
);
";
