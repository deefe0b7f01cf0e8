-- The whole life of a task: what came with it after the first version.

-- The unique key of a task that holds it until it has ended. `holds` goes with the end: most tasks have none, and then its
-- index costs nothing and keeps no update from its page.
alter table {schema}.task add column unique_key uuid, add column holds uuid;
create unique index task_holds on {schema}.task (holds) where holds is not null;

-- Which task holds a key for a time, however soon it ends.
create table {schema}.unique_window (
    key uuid primary key,
    task uuid not null,
    until_at bigint not null
);
create index unique_window_until on {schema}.unique_window (until_at);

-- Whether a task has, or had, or waits for something of a limit.
alter table {schema}.task add column limited boolean;

-- Where each limit stands: its slots by the newest policy, and how many of them are taken; the first free instant of its rate,
-- and how far they are apart.
create table {schema}.limit_state (
    id text primary key,
    running integer,
    taken integer not null,
    free_at bigint not null,
    interval bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What tasks have of limits: a slot (0), a place in the line (1), an instant of the rate (2); `at` is since when, or the place.
create table {schema}.limit_part (
    task bigint not null,
    limit_id text not null,
    part smallint not null,
    at bigint not null,
    primary key (task, limit_id, part)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
create index limit_line on {schema}.limit_part (limit_id, at) where part = 1;
create index limit_slots on {schema}.limit_part (at) where part = 0;

-- The last place of each tenant in the line of a fair queue.
create table {schema}.limit_turn (
    limit_id text not null,
    tenant text not null,
    place bigint not null,
    primary key (limit_id, tenant)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
