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
