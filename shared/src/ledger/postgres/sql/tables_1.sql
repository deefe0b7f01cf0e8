-- `task` is narrow, for it is rewritten at every step of a task's life; what is written once lies in `detail`, and what a
-- run left behind in `outcome`.
--
-- No index names a column that changes when a run succeeds (`state`, `finished_at`), not even in its condition: only so
-- can Postgres keep the new version of the row on the same page and leave every index alone (a HOT update).
--   wake_at   drives the agenda: when a beat looks at the row next. Null but for scheduled and queued rows.
--   bad       dead, cancelled or expired: what people look for.
-- Rows that run are found by `claimed`, and finished ones by walking along `row`.
create table {schema}.task (
    id uuid primary key,
    owner uuid,
    row bigint not null,
    seq bigint not null,
    fence bigint,
    token bigint,
    wake_at bigint,
    due_at bigint,
    recorded_at bigint not null,
    enqueued_at bigint,
    started_at bigint,
    finished_at bigint,
    expires_at bigint,
    parked_at bigint,
    attempts integer not null,
    crashes integer not null,
    looks integer not null default 0,
    parks integer not null default 0,
    state smallint not null,
    priority smallint not null,
    cancel boolean not null default false,
    bad boolean not null default false,
    name text not null,
    queue text not null,
    schedule_id text,
    tags text,
    note text
) with (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);
create sequence {schema}.task_row;
create unique index task_row_key on {schema}.task (row);
create index task_wake on {schema}.task (wake_at) where wake_at is not null;
create index task_bad on {schema}.task (row) where bad;
create index task_schedule on {schema}.task (schedule_id) where schedule_id is not null;

-- The message, by the task's row.
create table {schema}.detail (
    task bigint primary key,
    message bytea not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);

-- What the last run left behind, if it left anything.
create table {schema}.outcome (
    task bigint primary key,
    error text,
    result bytea
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- Which tasks an owner claimed, one row a batch. A task stays here for a while after it has ended: whoever reads this
-- looks at the task too. Later claims of the owner forget what has ended.
create table {schema}.claimed (
    owner uuid not null,
    look_at bigint not null,
    no bigint not null,
    at bigint not null,
    ids uuid[] not null,
    primary key (owner, look_at, no)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
-- Ids hardly shrink: trying would cost more than writing them.
alter table {schema}.claimed alter ids set storage external;
create sequence {schema}.claimed_no;

-- Running tasks that somebody asked to stop; as above, the task has the last word.
create table {schema}.cancel (
    owner uuid not null,
    id uuid not null,
    primary key (owner, id)
);

-- Tasks by queue and state. Each transaction counts in a slot of its own (see `slot_1`), so that none waits for another;
-- the count of a slot may be below zero, their sum never is.
create table {schema}.tally (
    queue text not null,
    state smallint not null,
    slot smallint not null,
    tasks bigint not null,
    primary key (queue, state, slot)
) with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- The newest mark among the claimed tasks: what was marked long before it was overtaken, and may be lost.
create table {schema}.progress (
    queue text not null,
    priority smallint not null,
    slot smallint not null,
    enqueued_at bigint not null,
    primary key (queue, priority, slot)
) with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create table {schema}.paused (queue text primary key);

-- `retired`: 0 lives, 1 was lost, 2 has left. The row stays for a week, for its name in the records.
create table {schema}.member (
    owner uuid primary key,
    role smallint not null,
    retired smallint not null default 0,
    counter bigint not null,
    lease bigint not null,
    started_at bigint not null,
    seen_at bigint not null,
    name text not null,
    info text not null
) with (fillfactor = 50);

create table {schema}.schedule (
    id text primary key,
    incarnation bigint not null,
    revision bigint not null,
    cursor bigint not null,
    updated_at bigint not null,
    definition text not null,
    source text not null
) with (fillfactor = 70);

-- A fired instant, or a run of skipped ones.
create table {schema}.occurrence (
    schedule_id text not null,
    planned_at bigint not null,
    incarnation bigint not null,
    until_at bigint not null,
    instants bigint not null,
    fired_at bigint not null,
    task_id uuid,
    skipped text,
    primary key (schedule_id, planned_at, incarnation)
);
create index occurrence_until on {schema}.occurrence (until_at);

create table {schema}.lease (
    name text primary key,
    expires_at bigint not null,
    owner uuid not null
) with (fillfactor = 50);

-- Numbers that there is one of: the catalog's version, the last incarnation, how far a purge came.
create table {schema}.number (name text primary key, value bigint not null) with (fillfactor = 50);
