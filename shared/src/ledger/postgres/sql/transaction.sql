-- What others call inside of transactions of their own: `publish` and `settle`, from any language. These two are replaced
-- and never dropped, so that what was granted on them stays.
--
-- They run with the rights of the schema's owner: who calls them needs the use of the schema, and nothing on its tables.

-- Whose schema this is.
create function {schema}.namespace_1() returns text language sql immutable as
$$ select case '{schema}' when '"upbeat"' then 'default' else substr(trim(both '"' from '{schema}'), 8) end $$;

-- The id of every task of this name with this dedup id, as programs derive it: the first 16 bytes of SHA-256 over the
-- fields, each preceded by its length, as a UUID of version 8.
create function {schema}.dedup_id_1(p_name text, p_dedup text) returns uuid language sql stable strict as
$$
    select encode(set_byte(set_byte(d.bytes, 6, (get_byte(d.bytes, 6) & 15) | 128), 8,
        (get_byte(d.bytes, 8) & 63) | 128), 'hex')::uuid
    from (
        select substr(sha256(string_agg(int4send(length(f.bytes)) || f.bytes, ''::bytea order by f.ord)), 1, 16) as bytes
        from (
            select convert_to(u.field, 'UTF8') as bytes, u.ord
            from unnest(array['dedup', {schema}.namespace_1(), p_name, p_dedup]) with ordinality as u (field, ord)
        ) f
    ) d
$$;

-- A new id, of version 7: milliseconds, and behind them the bits that are random in version 4, too.
create function {schema}.new_id_1(p_now bigint) returns uuid language sql volatile as
$$
    select encode(set_byte(d.bytes, 6, (get_byte(d.bytes, 6) & 15) | 112), 'hex')::uuid
    from (
        select overlay(uuid_send(gen_random_uuid()) placing substr(int8send(p_now / 1000), 3) from 1 for 6) as bytes
    ) d
$$;

-- Raises unless the text is a name of this kind.
create function {schema}.check_name_1(p_text text, p_noun text, p_longest integer, p_others text) returns void
language plpgsql stable
as $body$
declare
    v_bad text := substring(p_text collate "C" from '[^A-Za-z0-9' || replace(p_others, ' ', '') || ']');
    v_wrong text := case
        when coalesce(p_text, '') = '' then 'it is empty'
        when octet_length(convert_to(p_text, 'UTF8')) > p_longest then format('it is longer than %s bytes', p_longest)
        when v_bad is not null then
            format('''%s'' is not allowed; use letters, digits and any of %s', v_bad, p_others)
    end;
begin
    if v_wrong is not null then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('%s is no %s: %s', coalesce(to_json(left(p_text, 80))::text, 'null'), p_noun, v_wrong);
    end if;
end $body$;

-- Raises unless JSON is small and flat enough for a message.
create function {schema}.check_json_1(p_text text, p_what text) returns void language plpgsql stable
as $body$
declare
    v_bytes integer := octet_length(convert_to(p_text, 'UTF8'));
    v_left text;
begin
    if v_bytes > 1048576 then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('%s takes %s bytes, more than the limit of 1048576', p_what, v_bytes),
            hint = 'Store large data elsewhere and pass a reference.';
    end if;
    -- Most JSON has not even so many brackets.
    if length(p_text) - length(translate(p_text, '[{', '')) <= 64 then
        return;
    end if;
    v_left := regexp_replace(p_text, '"(\\.|[^"\\])*"', '', 'g');
    for v_level in 1..64 loop
        v_left := regexp_replace(v_left, '\[[^][{}]*\]|\{[^][{}]*\}', '', 'g');
    end loop;
    if v_left ~ '[[{]' then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('%s is nested deeper than the limit of 64 levels', p_what), hint = 'Make it flatter.';
    end if;
end $body$;

-- In microseconds; raises for what no clock will see.
create function {schema}.instant_1(p_what text, p_at timestamptz) returns bigint language plpgsql stable
as $body$
begin
    if p_at is not null and (not isfinite(p_at) or p_at not between '1970-01-01Z' and '9999-12-30Z') then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('%s is %s, which is not between the years 1970 and 9999', p_what, p_at);
    end if;
    return (extract(epoch from p_at) * 1000000)::bigint;
end $body$;

create function {schema}.duration_1(p_what text, p_length interval) returns bigint language plpgsql stable
as $body$
begin
    if p_length < interval '0' or p_length > interval '1000 years' then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('%s is %s, which is not between nothing and 1000 years', p_what, p_length);
    end if;
    return (extract(epoch from p_length) * 1000000)::bigint;
end $body$;

-- Puts one task onto the agenda, due at an instant or after a delay. Null, or the state of the one with this id.
create function {schema}.publish_one_1(
    p_id uuid, p_name text, p_queue text, p_priority smallint, p_seq bigint, p_expires bigint, p_schedule text,
    p_tags text, p_message bytea, p_due bigint, p_relative boolean)
returns smallint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
    select case when not a.added then a.state end
    from {schema}.add_1(array[p_id], array[p_name], array[p_queue], array[p_priority], array[p_seq], array[0], array[0],
        array[p_expires], array[p_schedule], array[p_tags], array[p_message], array[0::smallint], array[p_due],
        array[p_relative], array[0::bigint], array[null::text], array[0]) a
$body$;

-- Settles one claim as succeeded, or raises: nothing that is written beside it may be committed then.
create function {schema}.settle_one_1(p_id uuid, p_fence bigint, p_token bigint, p_result bytea) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
declare
    v_answer smallint;
    v_patience interval := current_setting('idle_in_transaction_session_timeout')::interval;
begin
    select s.answer into v_answer from {schema}.settle_1(null, array[p_id], array[p_fence], array[p_token],
        array[0::smallint], array[0::bigint], null, null, case when p_result is not null then array[p_result] end) s;
    if v_answer = 0 then
        -- From here to the end of the transaction, members wait for this row. Whoever goes to sleep over it is stopped.
        if v_patience = interval '0' or v_patience > interval '30s' then
            perform set_config('idle_in_transaction_session_timeout', '30s', true);
        end if;
        return;
    end if;
    if v_answer = 1 then
        raise exception using errcode = 'UB002',
            message = format('the task %s was settled by this run before', p_id),
            detail = 'This transaction repeats one that was committed; what it writes is there already.',
            hint = 'Roll back, and end the run as a success.';
    end if;
    raise exception using errcode = 'UB001',
        message = format('the task %s is not in this run''s hands any more', p_id),
        detail = 'Its fence or its token is not the newest, or the task does not run: it was given to another worker, or it '
            'ended. Or this is another database than the ledger''s.',
        hint = 'Roll back, and do nothing else: whoever has the task does its work.';
end $body$;

-- As `settle_one_1`, for who commits next and takes that for the end: raises in a savepoint, whose release commits nothing.
create function {schema}.settle_whole_1(p_id uuid, p_fence bigint, p_token bigint, p_result bytea) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
begin
    perform {schema}.settle_one_1(p_id, p_fence, p_token, p_result);
    -- What is written in a savepoint has the number of that, and not the transaction's.
    perform 1 from {schema}.task t
    where t.id = p_id and t.xmin::text::bigint <> pg_current_xact_id()::text::bigint % 4294967296;
    if found then
        raise exception using errcode = 'UB003', message = 'this is a savepoint, and its commit is no commit',
            hint = 'Commit the transaction around it.';
    end if;
end $body$;

create or replace function {schema}.publish(
    name text, args jsonb default 'null', queue text default 'default', delay interval default null,
    at timestamptz default null, dedup_id text default null, priority integer default 4,
    expires_in interval default null, expires_at timestamptz default null, tags text[] default '{}',
    timeout interval default null, args_version integer default 1, traceparent text default null,
    tracestate text default null, deadline_in interval default null, deadline_at timestamptz default null)
returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
declare
    v_now bigint := {schema}.now_us();
    v_args jsonb := coalesce(publish.args, 'null');
    v_due bigint := {schema}.instant_1('at', publish.at);
    v_delay bigint := {schema}.duration_1('delay', publish.delay);
    v_expires bigint := {schema}.instant_1('expires_at', publish.expires_at);
    v_lives bigint := {schema}.duration_1('expires_in', publish.expires_in);
    v_deadline bigint := {schema}.instant_1('deadline_at', publish.deadline_at);
    v_ends bigint := {schema}.duration_1('deadline_in', publish.deadline_in);
    v_timeout bigint := {schema}.duration_1('timeout', publish.timeout) / 1000;
    v_wrong text;
    v_id uuid;
    v_message jsonb;
begin
    perform {schema}.check_name_1(publish.name, 'task name', 200, '_ . : / -');
    perform {schema}.check_name_1(publish.queue, 'queue name', 120, '_ . -');
    perform {schema}.check_json_1(v_args::text, 'args');
    v_wrong := case
        when publish.queue = 'undeliverable' then 'the queue "undeliverable" is the broker''s own'
        when v_due is not null and v_delay is not null then 'give delay or at, not both'
        when v_expires is not null and v_lives is not null then 'give expires_in or expires_at, not both'
        when v_deadline is not null and v_ends is not null then 'give deadline_in or deadline_at, not both'
        when coalesce(v_due, v_now + v_delay) >= coalesce(v_deadline, v_now + v_ends) then
            'its deadline comes before it is due: it could never run'
        when octet_length(convert_to(publish.dedup_id, 'UTF8')) not between 1 and 512 then format(
            'a dedup id has 1 to 512 bytes, this one has %s', octet_length(convert_to(publish.dedup_id, 'UTF8')))
        when coalesce(publish.priority, -1) not between 0 and 9 then
            format('a priority is 0 to 9, and %s is none', coalesce(publish.priority::text, 'null'))
        when array_position(publish.tags, null) is not null then 'a tag is null'
        when v_timeout < 1 then 'a timeout has a millisecond at least'
        when coalesce(publish.args_version, 0) < 1 then 'args_version is 1 at least'
        when publish.traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$' then format(
            '%s is no traceparent: it must look like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
            to_json(left(publish.traceparent, 80)))
    end;
    if v_wrong is not null then
        raise exception using errcode = 'invalid_parameter_value', message = v_wrong;
    end if;
    v_expires := coalesce(v_expires, v_now + v_lives);
    v_deadline := coalesce(v_deadline, v_now + v_ends);
    v_id := coalesce({schema}.dedup_id_1(publish.name, publish.dedup_id), {schema}.new_id_1(v_now));
    v_message := jsonb_strip_nulls(jsonb_build_object('id', v_id, 'name', publish.name, 'queue', publish.queue,
        'priority', publish.priority, 'first_published', v_now, 'dedup_id', publish.dedup_id, 'expires_at', v_expires,
        'deadline_at', v_deadline, 'timeout_ms', v_timeout, 'tags', coalesce(publish.tags, '{}'), 'args_version', publish.args_version,
        'traceparent', publish.traceparent, 'tracestate', publish.tracestate)) || jsonb_build_object('args', v_args);
    perform {schema}.publish_one_1(v_id, publish.name, publish.queue, publish.priority::smallint, 0,
        least(v_expires, v_deadline), null,
        ',' || nullif(array_to_string(publish.tags, ','), '') || ',', convert_to(v_message::text, 'UTF8'),
        coalesce(v_due, v_delay, 0), v_due is null);
    return v_id;
end $body$;

comment on function {schema}.publish is
    'Publishes a task when the transaction around it commits, and never if it is rolled back; answers its id. With a '
    'dedup_id, the same name and dedup_id are the same task.';

create or replace function {schema}.settle(task uuid, fence bigint, token bigint, result jsonb default null)
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
begin
    if settle.task is null or settle.fence is null or settle.token is null then
        raise exception using errcode = 'invalid_parameter_value', message = 'task, fence and token are needed',
            hint = 'A run is told them: UPBEAT_TASK_ID, UPBEAT_FENCE and UPBEAT_TOKEN, or the headers of its request.';
    end if;
    perform {schema}.check_json_1(settle.result::text, 'result');
    perform {schema}.settle_one_1(settle.task, settle.fence, settle.token,
        convert_to(nullif(settle.result, 'null')::text, 'UTF8'));
end $body$;

comment on function {schema}.settle is
    'Ends the run of a task as a success when the transaction around it commits: what it writes is committed with it, or '
    'not at all. Raises UB001 if the task is not in this run''s hands any more, UB002 if it was settled before.';
