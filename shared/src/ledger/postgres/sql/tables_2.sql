-- The whole life of a task: what came with it after the first version.

-- Past runs, where there was anything but one success: how many there were, and the newest of them as JSON, oldest first.
create table {schema}.run (
    task bigint primary key,
    ended integer not null,
    kept text[] not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
