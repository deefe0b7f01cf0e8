-- Unique keys. A task holds one in `task.holds` until it has ended, or for a time in `unique_window`.

-- Locks keys until the end of the transaction, in order. Whoever takes a key does this first, before it locks rows: then it
-- knows what it sees of the key's holder. Whoever ends a task frees its key without.
create function {schema}.lock_keys_1(p_keys uuid[]) returns void language plpgsql volatile as
$body$
declare
    v_key bigint;
begin
    for v_key in
        select distinct uuid_hash_extended(k.key, hashtextextended('{schema}', 3)) as hash
        from unnest(p_keys) as k (key) order by hash
    loop
        perform pg_advisory_xact_lock(v_key);
    end loop;
end $body$;

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
