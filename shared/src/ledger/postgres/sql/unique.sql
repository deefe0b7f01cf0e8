-- Unique keys. A task holds one in `task.holds` until it has ended, or for a time in `unique_window`.

-- Under which number a key is locked.
create function {schema}.key_lock_1(p_key uuid) returns bigint language sql immutable as
$$ select uuid_hash_extended(p_key, hashtextextended('{schema}', 3)) $$;

-- Locks keys until the end of the transaction, in order. Whoever takes a key does this first, before it locks rows: then it
-- knows what it sees of the key's holder. Whoever ends a task frees its key without.
create function {schema}.lock_keys_1(p_keys uuid[]) returns void language plpgsql volatile as
$body$
declare
    v_key bigint;
begin
    for v_key in
        select distinct {schema}.key_lock_1(k.key) as hash from unnest(p_keys) as k (key) order by hash
    loop
        perform pg_advisory_xact_lock(v_key);
    end loop;
end $body$;

-- Locks those of these keys that nobody has locked, waits for none, and answers the others.
create function {schema}.try_keys_1(p_keys uuid[]) returns setof uuid language sql volatile as
$$ select k.key from unnest(p_keys) as k (key) where not pg_try_advisory_xact_lock({schema}.key_lock_1(k.key)) $$;

-- Who holds these keys, and in which state it is; one that is forgotten had ended.
create function {schema}.holders_1(p_keys uuid[]) returns table (key uuid, id uuid, state smallint, is_window boolean)
language sql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
    select t.holds, t.id, t.state, false from {schema}.task t
    where t.holds is not null and t.holds = any (p_keys)
    union all
    select w.key, w.task, coalesce(t.state, 4::smallint), true
    from {schema}.unique_window w left join {schema}.task t on t.id = w.task
    where w.key = any (p_keys) and w.until_at > {schema}.now_us()
$body$;

-- Gives free keys to rows of this transaction: until they have ended, or for so long.
create function {schema}.hold_1(p_ids uuid[], p_keys uuid[], p_windows bigint[]) returns void language plpgsql volatile
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_hashjoin = on
as $body$
declare
    v_now bigint := {schema}.now_us();
begin
    delete from {schema}.unique_window w where w.key = any (p_keys);
    update {schema}.task t set unique_key = i.key, holds = i.key
    from unnest(p_ids, p_keys, p_windows) as i (id, key, until)
    where t.id = any (p_ids) and t.id = i.id and i.until is null;
    insert into {schema}.unique_window (key, task, until_at)
    select i.key, i.id, v_now + i.until from unnest(p_ids, p_keys, p_windows) as i (id, key, until)
    where i.until is not null order by i.key;
end $body$;

-- Puts one task that has a key onto the agenda, in a transaction of somebody else's, due at an instant or after a delay. Its
-- id and no state; or which task there is instead, and that one's state. The key stays locked until the transaction ends:
-- whoever wants it waits for that, and then sees who has it.
create function {schema}.publish_keyed_1(
    p_id uuid, p_name text, p_queue text, p_priority smallint, p_seq bigint, p_expires bigint, p_schedule text,
    p_tags text, p_message bytea, p_due bigint, p_relative boolean, p_key uuid, p_window bigint, p_replace boolean)
returns table (id uuid, state smallint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $body$
#variable_conflict use_column
declare
    v_holder record;
    v_row {schema}.task%rowtype;
    v_state smallint;
begin
    perform {schema}.lock_keys_1(array[p_key]);
    perform {schema}.stay_awake_1();
    select t.state into v_state from {schema}.task t where t.id = p_id;
    if found then
        return query select p_id, v_state;
        return;
    end if;
    select h.id, h.state, h.is_window into v_holder from {schema}.holders_1(array[p_key]) h;
    if found and p_replace and v_holder.state in (0, 1, 3) then
        select t.* into v_row from {schema}.task t where t.id = v_holder.id for update;
        v_holder.state := coalesce(v_row.state, v_holder.state);
    end if;
    if v_holder.id is not null and (v_holder.is_window or v_holder.state < 4)
        and not (p_replace and v_holder.state in (0, 1, 3)) then
        return query select v_holder.id, v_holder.state;
        return;
    end if;
    v_state := {schema}.publish_one_1(p_id, p_name, p_queue, p_priority, p_seq, p_expires, p_schedule, p_tags, p_message,
        p_due, p_relative);
    if v_state is not null then
        return query select p_id, v_state;
        return;
    end if;
    if v_row.state < 4 then
        perform {schema}.change_1(array[v_row.id], array[0::smallint], array[v_row.state], array[6::smallint],
            array[v_row.seq], array[v_row.attempts], array[v_row.crashes], array[0::bigint],
            array[format('replaced by %s, which has the same unique key', p_id)], array[null::text]);
    end if;
    begin
        perform {schema}.hold_1(array[p_id], array[p_key], array[p_window]);
    exception when unique_violation then
        -- Only where a transaction sees nothing that came after it began.
        raise exception using errcode = 'serialization_failure',
            message = 'the unique key was taken by a transaction that this one does not see',
            hint = 'Do the transaction again.';
    end;
    return query select p_id, null::smallint;
end $body$;

-- Forgets windows that are over.
create function {schema}.purge_windows_1(p_limit integer) returns bigint language plpgsql volatile
set enable_seqscan = off
as $body$
declare
    v_gone bigint;
begin
    delete from {schema}.unique_window w where w.ctid = any (array(
        select o.ctid from {schema}.unique_window o where o.until_at <= {schema}.now_us()
        order by o.until_at limit p_limit for update skip locked));
    get diagnostics v_gone = row_count;
    return v_gone;
end $body$;
