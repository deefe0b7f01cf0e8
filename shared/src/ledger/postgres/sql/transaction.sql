-- What others call inside of transactions of their own: `publish`, `publish_or_find` and `settle`, from any language. These
-- are replaced and never dropped, so that what was granted on them stays.
--
-- They run with the rights of the schema's owner: who calls them needs the use of the schema, and nothing on its tables.

-- Whose schema this is.
create function {schema}.namespace_1() returns text language sql immutable as
$$ select case '{schema}' when '"upbeat"' then 'default' else substr(trim(both '"' from '{schema}'), 8) end $$;

-- As programs derive ids: the first 16 bytes of SHA-256 over the fields, each preceded by its length, as a UUID of version 8.
create function {schema}.derive_1(p_fields text[]) returns uuid language sql stable strict as
$$
    select encode(set_byte(set_byte(d.bytes, 6, (get_byte(d.bytes, 6) & 15) | 128), 8,
        (get_byte(d.bytes, 8) & 63) | 128), 'hex')::uuid
    from (
        select substr(sha256(string_agg(int4send(length(f.bytes)) || f.bytes, ''::bytea order by f.ord)), 1, 16) as bytes
        from (
            select convert_to(u.field, 'UTF8') as bytes, u.ord
            from unnest(p_fields) with ordinality as u (field, ord)
        ) f
    ) d
$$;

-- The id of every task of this name with this dedup id.
create function {schema}.dedup_id_1(p_name text, p_dedup text) returns uuid language sql stable strict as
$$ select {schema}.derive_1(array['dedup', {schema}.namespace_1(), p_name, p_dedup]) $$;

-- What the unique key of a task of this name is to the ledger.
create function {schema}.key_id_1(p_name text, p_key text) returns uuid language sql stable strict as
$$ select {schema}.derive_1(array['unique', p_name, p_key]) $$;

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

-- From here to the end of the transaction, others wait for what it has locked. Whoever goes to sleep over it is stopped.
create function {schema}.stay_awake_1() returns void language plpgsql volatile as
$body$
declare
    v_patience interval := current_setting('idle_in_transaction_session_timeout')::interval;
begin
    if v_patience = interval '0' or v_patience > interval '30s' then
        perform set_config('idle_in_transaction_session_timeout', '30s', true);
    end if;
end $body$;

-- Settles one claim as succeeded, or raises: nothing that is written beside it may be committed then.
create function {schema}.settle_one_1(p_id uuid, p_fence bigint, p_token bigint, p_result bytea) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
declare
    v_answer smallint;
begin
    select s.answer into v_answer from {schema}.settle_1(null, array[p_id], array[p_fence], array[p_token],
        array[0::smallint], array[0::bigint], null, null, case when p_result is not null then array[p_result] end) s;
    if v_answer = 0 then
        perform {schema}.stay_awake_1();
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
