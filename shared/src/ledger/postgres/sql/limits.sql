-- Limits, as `limit.rs` decides them. Whoever needs a limit has its own tasks' rows locked already, and then locks the rows of
-- its limits, in the order of their ids. A task that waits in line is woken only if nobody else holds its row. So nobody
-- waits in a circle.

-- Gives free slots to the first in line. The caller holds the limit's row.
create function {schema}.limit_fill_1(p_limit text, p_now bigint) returns void
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $body$
declare
    v_free integer := (select s.running - s.taken from {schema}.limit_state s where s.id = p_limit);
    v_task bigint;
    v_place bigint;
begin
    while v_free > 0 loop
        select p.task, p.at into v_task, v_place from {schema}.limit_part p join {schema}.task t on t.row = p.task
        where p.limit_id = p_limit and p.part = 1 order by p.at limit 1 for update of t skip locked;
        exit when not found;
        update {schema}.limit_part p set part = 0, at = p_now
        where p.task = v_task and p.limit_id = p_limit and p.part = 1;
        update {schema}.task t set wake_at = p_now, due_at = p_now, note = null where t.row = v_task;
        -- The virtual time of a fair queue: whoever comes stands behind what has gone.
        update {schema}.limit_state s set taken = s.taken + 1,
            free_at = case when p_limit like 'fair:%' then greatest(s.free_at, v_place) else s.free_at end
        where s.id = p_limit;
        v_free := v_free - 1;
    end loop;
end $body$;

-- Tasks end, move or stop running: what they had goes, and their slots to those who wait. Nothing else is forgotten with a
-- limit that is forgotten.
create function {schema}.limit_release_1(p_rows bigint[], p_now bigint) returns void
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $body$
declare
    v_limit record;
begin
    perform 1 from {schema}.limit_state s
    where s.id = any (array(select p.limit_id from {schema}.limit_part p where p.task = any (p_rows)))
    order by s.id for update;
    for v_limit in
        with gone as (
            delete from {schema}.limit_part p where p.task = any (p_rows) returning p.limit_id, p.part
        )
        select g.limit_id as id, count(*) as slots from gone g where g.part = 0 group by g.limit_id order by g.limit_id
    loop
        update {schema}.limit_state s set taken = greatest(s.taken - v_limit.slots, 0) where s.id = v_limit.id;
        perform {schema}.limit_fill_1(v_limit.id, p_now);
        delete from {schema}.limit_state s
        where s.id = v_limit.id and s.taken = 0 and s.free_at <= p_now
            and not exists (select from {schema}.limit_part p where p.limit_id = s.id and p.part = 1);
        if found and v_limit.id like 'fair:%' then
            delete from {schema}.limit_turn u where u.limit_id = v_limit.id;
        end if;
    end loop;
end $body$;

-- Takes a claimed task through its limits; `nth` is the one that it waits for (the first is 0), or null if it runs, and
-- `due` when it is due again, if that is known. The caller holds the rows of these limits.
create function {schema}.limit_admit_1(
    p_task bigint, p_limits text[], p_running integer[], p_intervals bigint[], p_early bigint[], p_now bigint,
    out nth integer, out due bigint)
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $body$
declare
    v_ahead bigint;
    v_band bigint;
    v_last bigint;
begin
    for i in 1..cardinality(p_limits) loop
        continue when p_intervals[i] is null or exists (
            select from {schema}.limit_part p where p.task = p_task and p.limit_id = p_limits[i] and p.part = 2);
        select greatest(s.free_at - p_now, 0) into v_ahead from {schema}.limit_state s where s.id = p_limits[i];
        -- A changed rate counts for those that come, as if it had always been so.
        update {schema}.limit_state s set interval = p_intervals[i], free_at = p_now + p_intervals[i]
            + case s.interval when 0 then v_ahead else (v_ahead::numeric * p_intervals[i] / s.interval)::bigint end
        where s.id = p_limits[i]
        returning s.free_at - p_intervals[i] - p_now into v_ahead;
        v_ahead := greatest(v_ahead - p_early[i], 0);
        insert into {schema}.limit_part (task, limit_id, part, at) values (p_task, p_limits[i], 2, p_now + v_ahead);
        if v_ahead > 0 and (due is null or p_now + v_ahead > due) then
            nth := i - 1;
            due := p_now + v_ahead;
        end if;
    end loop;
    if nth is not null then
        return;
    end if;
    for i in 1..cardinality(p_limits) loop
        continue when p_running[i] is null;
        update {schema}.limit_state s set running = p_running[i]
        where s.id = p_limits[i] and s.running is distinct from p_running[i];
        continue when exists (
            select from {schema}.limit_part p where p.task = p_task and p.limit_id = p_limits[i] and p.part = 0);
        perform {schema}.limit_fill_1(p_limits[i], p_now);
        -- Nobody overtakes those who wait.
        update {schema}.limit_state s set taken = s.taken + 1
        where s.id = p_limits[i] and s.taken < s.running
            and not exists (select from {schema}.limit_part p where p.limit_id = s.id and p.part = 1);
        if not found then
            -- Behind those of its priority, and before those of a lower one.
            v_band := (9 - (select t.priority from {schema}.task t where t.row = p_task)) * 10000000000000;
            v_last := (select max(p.at) from {schema}.limit_part p
                where p.limit_id = p_limits[i] and p.part = 1 and p.at < v_band + 10000000000000);
            insert into {schema}.limit_part (task, limit_id, part, at)
            values (p_task, p_limits[i], 1, greatest(v_band + p_now / 1000, v_last + 1));
            nth := i - 1;
            return;
        end if;
        insert into {schema}.limit_part (task, limit_id, part, at) values (p_task, p_limits[i], 0, p_now);
    end loop;
end $body$;

-- A task that waits for another limit leaves its slot of a fair queue to others.
create function {schema}.limit_give_up_turn_1(p_task bigint, p_now bigint) returns void
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $body$
declare
    v_limit text;
begin
    delete from {schema}.limit_part p where p.task = p_task and p.part = 0 and p.limit_id like 'fair:%'
    returning p.limit_id into v_limit;
    if v_limit is not null then
        update {schema}.limit_state s set taken = greatest(s.taken - 1, 0) where s.id = v_limit;
        perform {schema}.limit_fill_1(v_limit, p_now);
    end if;
end $body$;

-- Asks whether it is tasks' turn in their fair queues, as `line_up` in `limit.rs` decides; answers the places of those whose
-- turn it is.
create function {schema}.line_up_1(
    p_ids uuid[], p_seqs bigint[], p_limits text[], p_slots integer[], p_tenants text[], p_steps bigint[],
    p_notes text[])
returns setof integer
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $body$
declare
    v_now bigint := {schema}.now_us();
    v_task bigint;
    v_place bigint;
begin
    perform 1 from {schema}.task t where t.id = any (p_ids) order by t.id for update;
    insert into {schema}.limit_state as s (id, taken, free_at, interval)
    select l.id, 0, 0, 0 from (select distinct u.id from unnest(p_limits) as u (id)) l order by l.id
    on conflict (id) do update set taken = s.taken where false;
    for i in 1..cardinality(p_ids) loop
        v_task := (select t.row from {schema}.task t where t.id = p_ids[i] and t.seq = p_seqs[i] and t.state = 0);
        continue when v_task is null;
        -- Who comes back from another limit has waited its turn.
        if exists (select from {schema}.limit_part p where p.task = v_task and p.part <> 1) then
            return next i;
            continue;
        end if;
        update {schema}.limit_state s set running = p_slots[i]
        where s.id = p_limits[i] and s.running is distinct from p_slots[i];
        perform {schema}.limit_fill_1(p_limits[i], v_now);
        update {schema}.limit_state s set taken = s.taken + 1
        where s.id = p_limits[i] and s.taken < s.running
            and not exists (select from {schema}.limit_part p where p.limit_id = s.id and p.part = 1);
        if found then
            insert into {schema}.limit_part (task, limit_id, part, at) values (v_task, p_limits[i], 0, v_now);
            update {schema}.task t set limited = true where t.row = v_task and t.limited is null;
            return next i;
            continue;
        end if;
        if not exists (select from {schema}.limit_part p where p.task = v_task) then
            insert into {schema}.limit_turn as u (limit_id, tenant, place)
            select s.id, p_tenants[i], s.free_at + p_steps[i] from {schema}.limit_state s where s.id = p_limits[i]
            on conflict (limit_id, tenant)
                do update set place = greatest(u.place + p_steps[i], excluded.place)
            returning u.place into v_place;
            insert into {schema}.limit_part (task, limit_id, part, at) values (v_task, p_limits[i], 1, v_place);
        end if;
        update {schema}.task t set limited = true, wake_at = null, note = p_notes[i] where t.row = v_task;
    end loop;
end $body$;

-- Claims as `claim_1` does, and takes what is acquired through its limits: each stands in the last five columns, of which the
-- first names its request by its place, in the order in which they are to be admitted. Answers 5 for one that waits: then
-- `state` is which of its limits it waits for, and `due_at` until when.
create function {schema}.claim_limited_1(
    p_owner uuid, p_stale_after bigint, p_stale_error text,
    p_ids uuid[], p_names text[], p_queues text[], p_priorities smallint[], p_seqs bigint[], p_attempts integer[],
    p_crashes integer[], p_expires bigint[], p_schedules text[], p_tags text[], p_messages bytea[],
    p_published bigint[], p_tokens bigint[],
    p_of integer[], p_limits text[], p_running integer[], p_intervals bigint[], p_early bigint[])
returns table (ord bigint, answer smallint, state smallint, fence bigint, seq bigint, attempts integer, crashes integer,
    due_at bigint, at bigint, cancel boolean)
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    v_ords bigint[]; v_answers smallint[]; v_states smallint[]; v_fences bigint[]; v_seqs bigint[];
    v_attempts integer[]; v_crashes integer[]; v_due bigint[]; v_at bigint[]; v_cancels boolean[];
    v_first integer := 1;
    v_last integer;
    v_task bigint;
    v_waits record;
    v_waiting text[] := '{}';
begin
    select array_agg(c.ord order by c.ord), array_agg(c.answer order by c.ord), array_agg(c.state order by c.ord),
        array_agg(c.fence order by c.ord), array_agg(c.seq order by c.ord), array_agg(c.attempts order by c.ord),
        array_agg(c.crashes order by c.ord), array_agg(c.due_at order by c.ord), array_agg(c.at order by c.ord),
        array_agg(c.cancel order by c.ord)
    into v_ords, v_answers, v_states, v_fences, v_seqs, v_attempts, v_crashes, v_due, v_at, v_cancels
    from {schema}.claim_1(p_owner, p_stale_after, p_stale_error, p_ids, p_names, p_queues, p_priorities, p_seqs,
        p_attempts, p_crashes, p_expires, p_schedules, p_tags, p_messages, p_published, p_tokens) c;
    if v_ords is null then
        return;
    end if;
    -- Makes the rows that are missing and locks the others, in the order of ids; the update changes nothing.
    insert into {schema}.limit_state as s (id, taken, free_at, interval)
    select l.id, 0, 0, 0 from (
        select u.id from unnest(p_limits) as u (id)
        union select p.limit_id from {schema}.limit_part p where p.part = 0 and p.limit_id like 'fair:%'
            and p.task = any (array(select t.row from {schema}.task t where t.id = any (p_ids) and t.limited))
    ) l order by l.id
    on conflict (id) do update set taken = s.taken where false;
    while v_first <= cardinality(p_of) loop
        v_last := v_first;
        while p_of[v_last + 1] = p_of[v_first] loop
            v_last := v_last + 1;
        end loop;
        -- One that was acquired before, and whose answer was lost, has been here before.
        if v_answers[p_of[v_first]] = 0 then
            v_task := (select t.row from {schema}.task t where t.id = p_ids[p_of[v_first]]);
            select * into v_waits from {schema}.limit_admit_1(v_task, p_limits[v_first:v_last],
                p_running[v_first:v_last], p_intervals[v_first:v_last], p_early[v_first:v_last],
                v_at[p_of[v_first]]);
            if v_waits.nth is null then
                update {schema}.task t set limited = true where t.row = v_task and t.limited is null;
            else
                update {schema}.task t set limited = true, state = 0, seq = t.seq + 1, owner = null, token = null,
                    started_at = null, wake_at = v_waits.due, due_at = coalesce(v_waits.due, t.due_at),
                    note = case when v_waits.due is null then 'waits in line for a slot of '
                        else 'waits for its instant of the rate of ' end || p_limits[v_first + v_waits.nth]
                where t.row = v_task;
                perform {schema}.limit_give_up_turn_1(v_task, v_at[p_of[v_first]]);
                v_waiting := v_waiting || p_queues[p_of[v_first]];
                v_answers[p_of[v_first]] := 5;
                v_states[p_of[v_first]] := v_waits.nth;
                v_due[p_of[v_first]] := v_waits.due;
            end if;
        end if;
        v_first := v_last + 1;
    end loop;
    if v_waiting <> '{}' then
        insert into {schema}.tally (queue, state, slot, tasks)
        select w.queue, s.state, {schema}.slot_1(), sum(s.n)
        from unnest(v_waiting) as w (queue) cross join (values (0::smallint, 1), (2::smallint, -1)) as s (state, n)
        group by w.queue, s.state order by w.queue, s.state
        on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks;
    end if;
    return query
    select * from unnest(v_ords, v_answers, v_states, v_fences, v_seqs, v_attempts, v_crashes, v_due, v_at, v_cancels);
end $body$;

-- Gives slots away that nobody came for since then, fills lines that have free slots, and forgets limits of which nothing is
-- taken.
create function {schema}.limit_mend_1(p_kept bigint) returns void
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    v_now bigint := {schema}.now_us();
    v_late bigint[];
    v_limit text;
begin
    v_late := array(
        select t.row from {schema}.task t
        where t.row = any (array(
                -- Slots of a fair queue are kept while their tasks wait in the broker's.
                select s.task from {schema}.limit_part s
                where s.part = 0 and s.at < v_now - p_kept and s.limit_id not like 'fair:%'))
            and t.state <> 2 and not exists (
                select from {schema}.limit_part p
                where p.task = t.row and (p.part = 1 or (p.part = 0 and p.at >= v_now - p_kept)))
        order by t.id limit 1000 for update skip locked);
    if v_late <> '{}' then
        perform {schema}.limit_release_1(v_late, v_now);
    end if;
    for v_limit in
        select s.id from {schema}.limit_state s
        where s.taken < s.running
            and exists (select from {schema}.limit_part p where p.limit_id = s.id and p.part = 1)
        order by s.id limit 1000 for update
    loop
        perform {schema}.limit_fill_1(v_limit, v_now);
    end loop;
    delete from {schema}.limit_state s where s.id = any (array(
        select l.id from {schema}.limit_state l
        where l.taken = 0 and l.free_at <= v_now
            and not exists (select from {schema}.limit_part p where p.limit_id = l.id and p.part = 1)
        order by l.id limit 10000 for update skip locked));
    -- Places that are behind what has gone say nothing any more.
    delete from {schema}.limit_turn u
    where u.place <= coalesce((select s.free_at from {schema}.limit_state s where s.id = u.limit_id), u.place);
end $body$;
