//! The ledger's tables.
//!
//! `task` is narrow, for it is rewritten at every step of a task's life; what is written once or twice lies in `detail`.
//! `wake_at` drives the agenda: when a beat looks at the row next. A scheduled row's is when it is due, a queued row's
//! when somebody should ask why no worker has claimed it; other rows have none.

use crate::sqlite::Migration;

/// Whose versions these are.
pub(super) const COMPONENT: &str = "ledger";

/// Every version since the first; a released one never changes.
pub(super) const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, sql: V1 }, Migration { version: 2, sql: V2 }];

/// The newest.
pub(super) const KNOWN: u32 = 2;

const V1: &str = "
CREATE TABLE task (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    fence INTEGER,
    token INTEGER,
    owner BLOB,
    cancel INTEGER NOT NULL DEFAULT 0,
    wake_at INTEGER,
    due_at INTEGER,
    recorded_at INTEGER NOT NULL,
    enqueued_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    expires_at INTEGER,
    looks INTEGER NOT NULL DEFAULT 0,
    parks INTEGER NOT NULL DEFAULT 0,
    parked_at INTEGER,
    schedule_id TEXT,
    tags TEXT,
    note TEXT
);
CREATE INDEX task_wake ON task (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX task_running ON task (owner) WHERE state = 2;
CREATE INDEX task_finished ON task (finished_at) WHERE finished_at IS NOT NULL;
-- Dead, cancelled, expired. A list here would open a table of its own at every update.
CREATE INDEX task_ended_badly ON task (state) WHERE state >= 5;
CREATE INDEX task_schedule ON task (schedule_id) WHERE schedule_id IS NOT NULL;

CREATE TABLE detail (
    task INTEGER PRIMARY KEY,
    message BLOB NOT NULL,
    error TEXT,
    result BLOB
);

CREATE TABLE tally (
    queue TEXT NOT NULL,
    state INTEGER NOT NULL,
    tasks INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) WITHOUT ROWID;

-- The newest mark among the claimed tasks: what was marked long before it was overtaken, and may be lost.
CREATE TABLE progress (
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    PRIMARY KEY (queue, priority)
) WITHOUT ROWID;

CREATE TABLE paused (queue TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE member (
    owner BLOB PRIMARY KEY,
    role INTEGER NOT NULL,
    name TEXT NOT NULL,
    info TEXT NOT NULL,
    counter INTEGER NOT NULL,
    lease INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    retired INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE schedule (
    id TEXT PRIMARY KEY,
    incarnation INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    definition TEXT NOT NULL,
    source TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- A fired instant, or a run of skipped ones.
CREATE TABLE occurrence (
    schedule_id TEXT NOT NULL,
    planned_at INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    instants INTEGER NOT NULL,
    skipped TEXT,
    fired_at INTEGER NOT NULL,
    task_id BLOB,
    PRIMARY KEY (schedule_id, planned_at, incarnation)
) WITHOUT ROWID;

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    owner BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Numbers that there is one of: the catalog's version, the last incarnation, how far details are purged.
CREATE TABLE number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

/// The whole life of a task: what came with it after the first version.
const V2: &str = "
-- The unique key that a task holds until it has ended, and takes again if it is retried by hand.
ALTER TABLE task ADD COLUMN unique_key BLOB;

-- Which task holds a key: until it has ended, or until its window is over.
CREATE TABLE unique_hold (
    key BLOB PRIMARY KEY,
    task_id BLOB NOT NULL,
    until_at INTEGER
) WITHOUT ROWID;
-- A purge must not read all that was recorded in a year.
CREATE INDEX occurrence_until ON occurrence (until_at);

CREATE INDEX unique_hold_until ON unique_hold (until_at) WHERE until_at IS NOT NULL;

-- Whether it has, or waits for, something of a limit.
ALTER TABLE task ADD COLUMN limited INTEGER;

-- Where each limit stands: its slots and how many of them are taken; the first free instant of its rate, and how far they
-- are apart.
CREATE TABLE limit_state (
    id TEXT PRIMARY KEY,
    running INTEGER,
    taken INTEGER NOT NULL,
    free_at INTEGER NOT NULL,
    interval INTEGER NOT NULL
) WITHOUT ROWID;

-- What tasks have of limits: a slot (0), a place in the line (1), an instant of the rate (2).
CREATE TABLE limit_part (
    task INTEGER NOT NULL,
    limit_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (task, limit_id, part)
) WITHOUT ROWID;
CREATE INDEX limit_line ON limit_part (limit_id, at) WHERE part = 1;
CREATE INDEX limit_slots ON limit_part (at) WHERE part = 0;

-- The last place of each tenant in the line of a fair queue.
CREATE TABLE limit_turn (
    limit_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (limit_id, tenant)
) WITHOUT ROWID;
";
