-- Writes what the program decided about rows that it has locked.
-- Kinds: 0 end, 1 move, 2 park (a move that is counted), 3 move of what had ended, 4 drop, 5 ask a running one to stop.
create function {schema}.change_1(
    p_ids uuid[], p_kinds smallint[], p_was smallint[], p_states smallint[], p_seqs bigint[], p_attempts integer[],
    p_crashes integer[], p_due bigint[], p_notes text[], p_errors text[])
returns void
language plpgsql volatile
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_hashjoin = on set plan_cache_mode = force_generic_plan
as $body$
declare
    v_slot smallint := {schema}.slot_1();
    v_now bigint := {schema}.now_us();
    v_dropped bigint[];
    v_limited bigint[];
begin
    with changed as (
        update {schema}.task t set
            state = i.state, bad = i.state >= 5, seq = i.seq, attempts = i.attempts, crashes = i.crashes,
            due_at = case when i.kind in (1, 2, 3) then i.due else t.due_at end,
            wake_at = case when i.kind in (1, 2, 3) then i.due end,
            finished_at = case when i.kind = 0 then v_now when i.kind = 4 then t.finished_at end,
            looks = case when i.kind in (1, 2, 3) then 0 else t.looks end,
            cancel = i.kind = 5 or (t.cancel and i.kind in (0, 4)),
            token = case when i.kind in (4, 5) then t.token end,
            holds = case when i.kind in (1, 2, 5) then t.holds when i.kind = 3 then t.unique_key end,
            expires_at = case when i.kind = 3 then null else t.expires_at end,
            parks = case when i.kind = 2 then t.parks + 1 else t.parks end,
            parked_at = case when i.kind = 2 then coalesce(t.parked_at, v_now) else t.parked_at end,
            note = case when i.kind in (0, 4, 5) then coalesce(i.note, t.note) else i.note end
        from unnest(p_ids, p_kinds, p_states, p_seqs, p_attempts, p_crashes, p_due, p_notes)
            as i (id, kind, state, seq, attempts, crashes, due, note)
        where t.id = any (p_ids) and t.id = i.id
        returning t.id, t.row, t.owner, t.queue, t.state, t.limited, i.kind
    ), joined as (
        select c.*, i.was, i.error from changed c
        join unnest(p_ids, p_was, p_errors) as i (id, was, error) on i.id = c.id
    ), left_behind as (
        insert into {schema}.outcome (task, error) select j.row, j.error from joined j where j.error is not null
        on conflict (task) do update set error = excluded.error, result = null
    ), asked as (
        insert into {schema}.cancel (owner, id) select j.owner, j.id from joined j where j.kind = 5
        on conflict do nothing
    ), counted as (
        insert into {schema}.tally (queue, state, slot, tasks)
        select c.queue, c.state, v_slot, sum(c.n)
        from (
            select j.queue, j.was as state, -1 as n from joined j where j.was <> j.state
            union all
            select j.queue, j.state, 1 from joined j where j.was <> j.state
        ) c
        group by c.queue, c.state order by c.queue, c.state
        on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks
    )
    select array_agg(j.row) filter (where j.kind = 4), array_agg(j.row) filter (where j.limited and j.kind <> 5)
    into v_dropped, v_limited from joined j;
    if v_limited is not null then
        perform {schema}.limit_release_1(v_limited, v_now);
    end if;
    if v_dropped is not null then
        delete from {schema}.detail d where d.task = any (v_dropped);
        delete from {schema}.outcome o where o.task = any (v_dropped);
        delete from {schema}.run r where r.task = any (v_dropped);
    end if;
end $body$;

-- Removes what retention no longer keeps, at most `p_limit` of each kind. Whoever comes while another purges finds
-- nothing to do.
--
-- Tasks are walked in the order in which they were recorded, from where the last purge stopped, and in a circle: what
-- could not go yet is met again in the next round.
create function {schema}.purge_1(
    p_details bigint[], p_ids bigint, p_occurrences bigint, p_members bigint, p_limit integer, p_dead bigint, p_note text)
returns table (details bigint, ids bigint, occurrences bigint, windows bigint, dead bigint)
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
#variable_conflict use_column
declare
    v_ids bigint;
    v_details bigint;
    v_occurrences bigint;
    v_dead bigint := 0;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('{schema}', 2)) then
        return query select 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint;
        return;
    end if;
    if p_dead is not null then
        v_dead := {schema}.drop_dead_1({schema}.now_us() - p_dead, p_limit, p_note);
    end if;
    v_ids := {schema}.purge_ids_1({schema}.now_us() - p_ids, p_limit);
    v_details := {schema}.purge_details_1(p_details, p_limit);
    delete from {schema}.occurrence o where o.ctid = any (array(
        select p.ctid from {schema}.occurrence p where p.until_at < {schema}.now_us() - p_occurrences
        order by p.until_at limit p_limit for update skip locked));
    get diagnostics v_occurrences = row_count;
    delete from {schema}.member m where m.retired <> 0 and m.seen_at < {schema}.now_us() - p_members;
    delete from {schema}.cancel c where not exists (
        select from {schema}.task t where t.id = c.id and t.owner = c.owner and t.state = 2);
    return query select v_details, v_ids, v_occurrences, {schema}.purge_windows_1(p_limit), v_dead;
end $body$;

-- Drops tasks that died long ago: walks along those that ended badly, a window each time, in a circle.
create function {schema}.drop_dead_1(p_before bigint, p_limit integer, p_note text) returns bigint language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    v_slot smallint := {schema}.slot_1();
    v_from bigint := coalesce((select n.value from {schema}.number n where n.name = 'dead_dropped'), 0);
    v_seen integer;
    v_reached bigint;
    v_found uuid[];
    v_rows bigint[];
begin
    select count(*), max(w.row), array_agg(w.id) filter (where w.state = 5 and w.finished_at < p_before)
    into v_seen, v_reached, v_found
    from (
        select t.row, t.id, t.state, t.finished_at from {schema}.task t
        where t.bad and t.row > v_from order by t.row limit p_limit
    ) w;
    if cardinality(v_found) > 0 then
        with dropped as (
            update {schema}.task t set state = 6, note = p_note
            where t.id = any (array(
                select l.id from {schema}.task l
                where l.id = any (v_found) and l.finished_at < p_before and l.state = 5
                order by l.id for update skip locked))
            returning t.row, t.queue
        ), counted as (
            insert into {schema}.tally (queue, state, slot, tasks)
            select c.queue, c.state, v_slot, sum(c.n)
            from (
                select d.queue, 5::smallint as state, -1 as n from dropped d
                union all
                select d.queue, 6::smallint, 1 from dropped d
            ) c
            group by c.queue, c.state order by c.queue, c.state
            on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks
        )
        select array_agg(d.row) into v_rows from dropped d;
        delete from {schema}.detail d where d.task = any (v_rows);
        delete from {schema}.outcome o where o.task = any (v_rows);
        delete from {schema}.run r where r.task = any (v_rows);
    end if;
    v_from := case when v_seen < p_limit then 0 else v_reached end;
    if v_from > 0 or exists (select from {schema}.number n where n.name = 'dead_dropped' and n.value > 0) then
        insert into {schema}.number (name, value) values ('dead_dropped', v_from)
        on conflict (name) do update set value = excluded.value;
    end if;
    return coalesce(cardinality(v_rows), 0);
end $body$;

create function {schema}.purge_ids_1(p_before bigint, p_limit integer) returns bigint language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    v_slot smallint := {schema}.slot_1();
    v_from bigint := coalesce((select n.value from {schema}.number n where n.name = 'ids_purged'), 0);
    v_start bigint := v_from;
    v_wrapped boolean := false;
    v_seen integer;
    v_reached bigint;
    v_young boolean;
    v_gone bigint[] := '{}';
    v_found uuid[];
    v_rows bigint[];
begin
    for v_step in 1..40 loop
        -- A window of rows; it ends where rows begin that are too young to have ended long ago.
        select count(*), max(w.row), bool_or(w.recorded_at >= p_before),
            (array_agg(w.id order by w.row) filter (
                where w.finished_at < p_before and w.state >= 4 and w.state <> 5))[1:p_limit - cardinality(v_gone)]
        into v_seen, v_reached, v_young, v_found
        from (
            select t.row, t.id, t.state, t.finished_at, t.recorded_at from {schema}.task t
            where t.row > v_from order by t.row limit 2500
        ) w;
        if cardinality(v_found) > 0 then
            with deleted as (
                delete from {schema}.task t
                where t.id = any (array(
                    select l.id from {schema}.task l
                    where l.id = any (v_found) and l.finished_at < p_before and l.state >= 4 and l.state <> 5
                    order by l.id for update skip locked))
                returning t.row, t.queue, t.state
            ), counted as (
                insert into {schema}.tally (queue, state, slot, tasks)
                select d.queue, d.state, v_slot, -count(*) from deleted d group by d.queue, d.state
                order by d.queue, d.state
                on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks
            )
            select array_agg(d.row) into v_rows from deleted d;
            if v_rows is not null then
                delete from {schema}.detail d where d.task = any (v_rows);
                delete from {schema}.outcome o where o.task = any (v_rows);
                delete from {schema}.run r where r.task = any (v_rows);
                v_gone := v_gone || v_rows;
            end if;
            if cardinality(v_gone) >= p_limit then
                -- There may be more in this window.
                v_from := (select max(r) from unnest(v_rows) r);
                exit;
            end if;
        end if;
        if v_seen < 2500 or v_young then
            exit when v_wrapped or v_start = 0;
            v_wrapped := true;
            v_from := 0;
        else
            v_from := v_reached;
        end if;
        exit when v_wrapped and v_from >= v_start;
    end loop;
    insert into {schema}.number (name, value) values ('ids_purged', v_from)
    on conflict (name) do update set value = excluded.value;
    return cardinality(v_gone);
end $body$;

-- `p_ages`: how long the details of each state are kept, from 4 (succeeded) on; null for ever.
create function {schema}.purge_details_1(p_ages bigint[], p_limit integer) returns bigint language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    v_from bigint := coalesce((select n.value from {schema}.number n where n.name = 'details_purged'), 0);
    v_start bigint := v_from;
    v_wrapped boolean := false;
    v_seen integer;
    v_reached bigint;
    v_young boolean;
    v_gone bigint := 0;
    v_count bigint;
    v_rows bigint[];
    v_now bigint := {schema}.now_us();
    v_before bigint[] := array(select v_now - a.age from unnest(p_ages) with ordinality a (age, at) order by a.at);
    v_youngest bigint := (select max(b) from unnest(v_before) b);
begin
    for v_step in 1..40 loop
        select count(*), max(w.task), bool_or(t.recorded_at >= v_youngest),
            (array_agg(w.task order by w.task) filter (
                where t.state >= 4 and t.finished_at < v_before[t.state - 3]))[1:p_limit - v_gone]
        into v_seen, v_reached, v_young, v_rows
        from (
            select d.task from {schema}.detail d where d.task > v_from order by d.task limit 2500
        ) w left join {schema}.task t on t.row = w.task;
        if cardinality(v_rows) > 0 then
            -- A task that is being made due again by hand is left alone: its row is locked.
            v_rows := array(
                select t.row from {schema}.task t
                where t.row = any (v_rows) and t.state >= 4 and t.finished_at < v_before[t.state - 3]
                for update skip locked);
            delete from {schema}.detail d where d.task = any (v_rows);
            get diagnostics v_count = row_count;
            delete from {schema}.outcome o where o.task = any (v_rows);
            delete from {schema}.run r where r.task = any (v_rows);
            v_gone := v_gone + v_count;
            if v_gone >= p_limit then
                v_from := (select max(r) from unnest(v_rows) r);
                exit;
            end if;
        end if;
        if v_seen < 2500 or v_young then
            exit when v_wrapped or v_start = 0;
            v_wrapped := true;
            v_from := 0;
        else
            v_from := v_reached;
        end if;
        exit when v_wrapped and v_from >= v_start;
    end loop;
    insert into {schema}.number (name, value) values ('details_purged', v_from)
    on conflict (name) do update set value = excluded.value;
    return v_gone;
end $body$;
