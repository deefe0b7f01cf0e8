-- What `publish` and `publish_or_find` do: check what they were given, and put one task onto the agenda.

-- As programs print it.
create function {schema}.state_name_1(p_state smallint) returns text language sql immutable strict as
$$ select (array['scheduled', 'queued', 'running', 'held', 'succeeded', 'dead', 'cancelled', 'expired'])[p_state + 1] $$;

-- A retry policy as messages carry it; raises for one that is none. What is left out is as programs have it.
create function {schema}.retry_1(p_retry jsonb) returns jsonb language plpgsql stable
as $body$
declare
    v_stray text;
    v_attempts jsonb := coalesce(p_retry -> 'max_attempts', '10');
    v_backoff text := coalesce(p_retry ->> 'backoff', 'exponential');
    v_jitter text := coalesce(p_retry ->> 'jitter', 'full');
    v_delay bigint := {schema}.duration_1('retry.delay', coalesce(p_retry ->> 'delay', '5s')::interval) / 1000;
    v_longest bigint := coalesce({schema}.duration_1('retry.max_delay', (p_retry ->> 'max_delay')::interval) / 1000,
        greatest(v_delay, 600000));
    v_wrong text;
begin
    if jsonb_typeof(p_retry) = 'object' then
        select k.key into v_stray from jsonb_object_keys(p_retry) as k (key)
        where k.key not in ('max_attempts', 'backoff', 'delay', 'max_delay', 'jitter') order by k.key limit 1;
    end if;
    v_wrong := case
        when jsonb_typeof(p_retry) <> 'object' then format('retry is no object but %s', jsonb_typeof(p_retry))
        when v_stray is not null then
            format('retry knows no %s; it has max_attempts, backoff, delay, max_delay and jitter', to_json(v_stray))
        when jsonb_typeof(v_attempts) <> 'number' then 'retry.max_attempts is no number'
        when v_attempts::numeric not between 1 and 4294967295 or v_attempts::numeric % 1 <> 0 then
            format('retry.max_attempts is a whole number from 1 on, and %s is none', v_attempts)
        when v_backoff not in ('constant', 'linear', 'exponential') then
            format('retry.backoff is constant, linear or exponential, and not %s', to_json(v_backoff))
        when v_jitter not in ('none', 'full') then format('retry.jitter is none or full, and not %s', to_json(v_jitter))
        when v_longest < v_delay then 'retry.max_delay is shorter than retry.delay'
    end;
    if v_wrong is not null then
        raise exception using errcode = 'invalid_parameter_value', message = v_wrong;
    end if;
    return jsonb_build_object('max_attempts', v_attempts, 'backoff', v_backoff, 'delay_ms', v_delay,
        'max_delay_ms', v_longest, 'jitter', v_jitter);
end $body$;

-- Which task there is now, and its state where it was there before.
create function {schema}.publish_any_1(
    p_name text, p_args jsonb, p_queue text, p_delay interval, p_at timestamptz, p_dedup text, p_priority integer,
    p_expires_in interval, p_expires_at timestamptz, p_tags text[], p_timeout interval, p_args_version integer,
    p_traceparent text, p_tracestate text, p_unique_key text, p_unique_within interval, p_replace boolean, p_key text,
    p_retry jsonb, p_deadline_in interval, p_deadline_at timestamptz)
returns table (id uuid, duplicate_of text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
#variable_conflict use_column
declare
    v_now bigint := {schema}.now_us();
    v_args jsonb := coalesce(p_args, 'null');
    v_due bigint := {schema}.instant_1('at', p_at);
    v_delay bigint := {schema}.duration_1('delay', p_delay);
    v_expires bigint := {schema}.instant_1('expires_at', p_expires_at);
    v_lives bigint := {schema}.duration_1('expires_in', p_expires_in);
    v_deadline bigint := {schema}.instant_1('deadline_at', p_deadline_at);
    v_ends bigint := {schema}.duration_1('deadline_in', p_deadline_in);
    v_timeout bigint := {schema}.duration_1('timeout', p_timeout) / 1000;
    v_window bigint := {schema}.duration_1('unique_within', p_unique_within);
    v_replace boolean := coalesce(p_replace, false);
    v_tags text := ',' || nullif(array_to_string(p_tags, ','), '') || ',';
    v_wrong text;
    v_id uuid;
    v_message jsonb;
    v_bytes bytea;
begin
    perform {schema}.check_name_1(p_name, 'task name', 200, '_ . : / -');
    perform {schema}.check_name_1(p_queue, 'queue name', 120, '_ . -');
    perform {schema}.check_json_1(v_args::text, 'args');
    if p_key is not null then
        perform {schema}.check_name_1(p_key, 'key', 200, '_ . : / @ + -');
    end if;
    v_wrong := case
        when p_queue = 'undeliverable' then 'the queue "undeliverable" is the broker''s own'
        when v_due is not null and v_delay is not null then 'give delay or at, not both'
        when v_expires is not null and v_lives is not null then 'give expires_in or expires_at, not both'
        when v_deadline is not null and v_ends is not null then 'give deadline_in or deadline_at, not both'
        when coalesce(v_due, v_now + v_delay) >= coalesce(v_deadline, v_now + v_ends) then
            'its deadline comes before it is due: it could never run'
        when octet_length(convert_to(p_dedup, 'UTF8')) not between 1 and 512 then
            format('a dedup id has 1 to 512 bytes, this one has %s', octet_length(convert_to(p_dedup, 'UTF8')))
        when octet_length(convert_to(p_unique_key, 'UTF8')) not between 1 and 512 then
            format('a unique key has 1 to 512 bytes, this one has %s', octet_length(convert_to(p_unique_key, 'UTF8')))
        when p_unique_key is null and v_window is not null then 'unique_within needs a unique_key'
        when p_unique_key is null and v_replace then 'replace needs a unique_key'
        when v_window not between 1 and 31536000000000 then
            format('a unique key is held for a microsecond to 365 days, and not for %s', p_unique_within)
        when coalesce(p_priority, -1) not between 0 and 9 then
            format('a priority is 0 to 9, and %s is none', coalesce(p_priority::text, 'null'))
        when array_position(p_tags, null) is not null then 'a tag is null'
        when v_timeout < 1 then 'a timeout has a millisecond at least'
        when coalesce(p_args_version, 0) < 1 then 'args_version is 1 at least'
        when p_traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$' then format(
            '%s is no traceparent: it must look like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
            to_json(left(p_traceparent, 80)))
    end;
    if v_wrong is not null then
        raise exception using errcode = 'invalid_parameter_value', message = v_wrong;
    end if;
    v_expires := coalesce(v_expires, v_now + v_lives);
    v_deadline := coalesce(v_deadline, v_now + v_ends);
    v_id := coalesce({schema}.dedup_id_1(p_name, p_dedup), {schema}.new_id_1(v_now));
    v_message := jsonb_strip_nulls(jsonb_build_object('id', v_id, 'name', p_name, 'queue', p_queue, 'priority', p_priority,
        'first_published', v_now, 'dedup_id', p_dedup, 'expires_at', v_expires, 'deadline_at', v_deadline,
        'timeout_ms', v_timeout,
        'tags', coalesce(p_tags, '{}'), 'args_version', p_args_version, 'traceparent', p_traceparent,
        'tracestate', p_tracestate, 'unique_key', p_unique_key, 'unique_for', v_window,
        'replace', case when v_replace then true end, 'key', p_key,
        'retry', case when p_retry <> 'null' then {schema}.retry_1(p_retry) end)) || jsonb_build_object('args', v_args);
    v_bytes := convert_to(v_message::text, 'UTF8');
    if p_unique_key is null then
        return query select v_id, {schema}.state_name_1({schema}.publish_one_1(v_id, p_name, p_queue, p_priority::smallint, 0,
            least(v_expires, v_deadline), null, v_tags, v_bytes, coalesce(v_due, v_delay, 0), v_due is null));
        return;
    end if;
    return query select k.id, {schema}.state_name_1(k.state) from {schema}.publish_keyed_1(v_id, p_name, p_queue,
        p_priority::smallint, 0, least(v_expires, v_deadline), null, v_tags, v_bytes, coalesce(v_due, v_delay, 0), v_due is null,
        {schema}.key_id_1(p_name, p_unique_key), v_window, v_replace) k;
end $body$;

create or replace function {schema}.publish(
    name text, args jsonb default 'null', queue text default 'default', delay interval default null,
    at timestamptz default null, dedup_id text default null, priority integer default 4,
    expires_in interval default null, expires_at timestamptz default null, tags text[] default '{}',
    timeout interval default null, args_version integer default 1, traceparent text default null,
    tracestate text default null, unique_key text default null, unique_within interval default null,
    replace boolean default false, key text default null, retry jsonb default null,
    deadline_in interval default null, deadline_at timestamptz default null)
returns uuid
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
    select p.id from {schema}.publish_any_1(publish.name, publish.args, publish.queue, publish.delay, publish.at,
        publish.dedup_id, publish.priority, publish.expires_in, publish.expires_at, publish.tags, publish.timeout,
        publish.args_version, publish.traceparent, publish.tracestate, publish.unique_key, publish.unique_within,
        publish.replace, publish.key, publish.retry, publish.deadline_in, publish.deadline_at) p
$body$;

comment on function {schema}.publish is
    'Publishes a task when the transaction around it commits, and never if it is rolled back; answers its id. With a '
    'dedup_id, the same name and dedup_id are the same task. With a unique_key, the id is that of the task that has the key.';

create or replace function {schema}.publish_or_find(
    name text, args jsonb default 'null', queue text default 'default', delay interval default null,
    at timestamptz default null, dedup_id text default null, priority integer default 4,
    expires_in interval default null, expires_at timestamptz default null, tags text[] default '{}',
    timeout interval default null, args_version integer default 1, traceparent text default null,
    tracestate text default null, unique_key text default null, unique_within interval default null,
    replace boolean default false, key text default null, retry jsonb default null,
    deadline_in interval default null, deadline_at timestamptz default null)
returns table (id uuid, duplicate_of text)
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
    select p.id, p.duplicate_of from {schema}.publish_any_1(publish_or_find.name, publish_or_find.args,
        publish_or_find.queue, publish_or_find.delay, publish_or_find.at, publish_or_find.dedup_id,
        publish_or_find.priority, publish_or_find.expires_in, publish_or_find.expires_at, publish_or_find.tags,
        publish_or_find.timeout, publish_or_find.args_version, publish_or_find.traceparent, publish_or_find.tracestate,
        publish_or_find.unique_key, publish_or_find.unique_within, publish_or_find.replace, publish_or_find.key,
        publish_or_find.retry, publish_or_find.deadline_in, publish_or_find.deadline_at) p
$body$;

comment on function {schema}.publish_or_find is
    'Publishes a task as publish does; answers which task there is now, and in duplicate_of the state of one that was there '
    'before: nothing new was made.';
