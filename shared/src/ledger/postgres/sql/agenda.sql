-- Makes rows of distinct ids, sorted; those that exist are locked and left as they are. States: that of the row made, or
-- of the one there.
-- `p_due` is an instant, or a delay where `p_relative`; a row with a `p_cover` of null is on nobody's agenda.
create function {schema}.add_1(
    p_ids uuid[], p_names text[], p_queues text[], p_priorities smallint[], p_seqs bigint[], p_attempts integer[],
    p_crashes integer[], p_expires bigint[], p_schedules text[], p_tags text[], p_messages bytea[],
    p_states smallint[], p_due bigint[], p_relative boolean[], p_cover bigint[], p_notes text[], p_parks integer[])
returns table (ord bigint, added boolean, state smallint, due_at bigint)
language plpgsql volatile
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_hashjoin = on set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    v_slot smallint := {schema}.slot_1();
    v_now bigint := {schema}.now_us();
    v_rows bigint[] := array(select nextval('{schema}.task_row') from generate_series(1, cardinality(p_ids)));
    v_made bigint;
begin
    return query
    with made as (
        insert into {schema}.task (id, row, name, queue, priority, state, seq, attempts, crashes, due_at, wake_at,
            recorded_at, expires_at, schedule_id, tags, note, finished_at, bad, parks, parked_at)
        select i.id, i.row, i.name, i.queue, i.priority, i.state, i.seq, i.attempts, i.crashes,
            case when i.relative then v_now + i.due else i.due end,
            case when i.relative then v_now + i.due else i.due end + i.cover,
            v_now, i.expires_at, i.schedule_id, i.tags, i.note, case when i.state >= 4 then v_now end, i.state >= 5,
            i.parks, case when i.parks > 0 then v_now end
        from unnest(p_ids, v_rows, p_names, p_queues, p_priorities, p_seqs, p_attempts, p_crashes, p_expires,
            p_schedules, p_tags, p_states, p_due, p_relative, p_cover, p_notes, p_parks)
        as i (id, row, name, queue, priority, seq, attempts, crashes, expires_at, schedule_id, tags, state, due, relative,
            cover, note, parks)
        on conflict (id) do update set looks = task.looks where false
        returning row, queue, state, due_at
    ), kept as (
        insert into {schema}.detail (task, message)
        select m.row, i.message from unnest(v_rows, p_messages) as i (row, message) join made m on m.row = i.row
        where i.message is not null
    ), counted as (
        insert into {schema}.tally (queue, state, slot, tasks)
        select m.queue, m.state, v_slot, count(*) from made m group by m.queue, m.state order by m.queue, m.state
        on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks
    )
    select i.ord, true, m.state, m.due_at
    from unnest(v_rows) with ordinality as i (row, ord) join made m on m.row = i.row;
    get diagnostics v_made = row_count;
    if v_made < cardinality(p_ids) then
        return query
        select i.ord, false, t.state, t.due_at
        from {schema}.task t join unnest(p_ids) with ordinality as i (id, ord) on i.id = t.id
        where t.id = any (p_ids) and t.row <> all (v_rows);
    end if;
end $body$;

-- Leases what is due to this caller; what expired ends instead. The last row has no id: it tells the time of the look,
-- and in `due_at` when the next one is worth it.
create function {schema}.due_1(p_limit integer, p_lease bigint, p_overtaken bigint)
returns table (id uuid, state smallint, seq bigint, attempts integer, crashes integer, due_at bigint, looks integer,
    overtaken boolean, message bytea, expires_at bigint, now bigint)
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    v_slot smallint;
    v_now bigint := {schema}.now_us();
    v_next bigint := (
        select t.wake_at from {schema}.task t where t.wake_at is not null order by t.wake_at limit 1);
    v_due uuid[];
    v_expired uuid[];
begin
    -- An idle beat must not write.
    if v_next <= v_now then
        v_slot := {schema}.slot_1();
        select array_agg(l.id) filter (where l.expires_at is null or l.expires_at > v_now),
            array_agg(l.id) filter (where l.expires_at <= v_now)
        into v_due, v_expired
        from (
            select t.id, t.expires_at from {schema}.task t where t.wake_at is not null and t.wake_at <= v_now
            order by t.wake_at limit p_limit for update skip locked
        ) l;
        if v_expired is not null then
            insert into {schema}.tally (queue, state, slot, tasks)
            select c.queue, c.state, v_slot, sum(c.n)
            from (
                select t.queue, t.state, -1 as n from {schema}.task t where t.id = any (v_expired)
                union all
                select t.queue, 7::smallint, 1 from {schema}.task t where t.id = any (v_expired)
            ) c
            group by c.queue, c.state order by c.queue, c.state
            on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks;
            update {schema}.task t set state = 7, bad = true, wake_at = null, finished_at = v_now, token = null, holds = null,
                note = 'it did not start before it expired'
            where t.id = any (v_expired);
            perform {schema}.limit_release_1(array(
                select t.row from {schema}.task t where t.id = any (v_expired) and t.limited), v_now);
        end if;
        if v_due is not null then
            return query
            select t.id, t.state, t.seq, t.attempts, t.crashes, t.due_at, t.looks,
                case t.state when 1 then coalesce(t.enqueued_at + p_overtaken < (
                    select max(p.enqueued_at) from {schema}.progress p
                    where p.queue = t.queue and p.priority = t.priority), false) else false end,
                d.message, t.expires_at, v_now
            from {schema}.task t left join {schema}.detail d on d.task = t.row
            where t.id = any (v_due) order by t.wake_at;
            update {schema}.task t set wake_at = v_now + p_lease where t.id = any (v_due);
        end if;
        v_next := (select t.wake_at from {schema}.task t where t.wake_at is not null order by t.wake_at limit 1);
    end if;
    return query select null::uuid, null::smallint, null::bigint, null::integer, null::integer, v_next, null::integer,
        null::boolean, null::bytea, null::bigint, v_now;
end $body$;

-- Marks entries as queued that are still scheduled, or queued already, with this seq; answers which.
create function {schema}.mark_1(
    p_ids uuid[], p_seqs bigint[], p_patience bigint, p_longest bigint)
returns setof bigint
language plpgsql volatile
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_hashjoin = on set plan_cache_mode = force_generic_plan
as $body$
declare
    v_slot smallint := {schema}.slot_1();
    v_now bigint := {schema}.now_us();
begin
    return query
    with marked as (
        update {schema}.task t set state = 1,
            enqueued_at = case t.state when 0 then v_now else t.enqueued_at end,
            note = case t.state when 0 then null else t.note end,
            looks = case t.state when 0 then 0 else t.looks + 1 end,
            wake_at = v_now + case t.state when 0 then p_patience
                else least(p_patience << least(t.looks + 1, 20), p_longest) end
        from unnest(p_ids, p_seqs) with ordinality as i (id, seq, ord)
        where t.id = any (p_ids) and t.id = i.id and t.seq = i.seq and t.state in (0, 1)
        returning i.ord, t.queue, t.looks
    ), counted as (
        insert into {schema}.tally (queue, state, slot, tasks)
        select c.queue, c.state, v_slot, sum(c.n)
        from (
            -- Whoever was queued before has been looked at.
            select m.queue, 0::smallint as state, -count(*) as n from marked m where m.looks = 0 group by m.queue
            union all
            select m.queue, 1::smallint, count(*) from marked m where m.looks = 0 group by m.queue
        ) c
        group by c.queue, c.state order by c.queue, c.state
        on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks
    )
    select m.ord from marked m;
end $body$;

-- Puts off the next look at entries that did not move.
create function {schema}.postpone_1(p_ids uuid[], p_seqs bigint[], p_by bigint[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_hashjoin = on set plan_cache_mode = force_generic_plan
as $body$
declare
    v_now bigint := {schema}.now_us();
begin
    update {schema}.task t set wake_at = v_now + i.by, looks = t.looks + 1
    from unnest(p_ids, p_seqs, p_by) as i (id, seq, by)
    where t.id = any (p_ids) and t.id = i.id and t.seq = i.seq and t.state in (0, 1);
end $body$;
