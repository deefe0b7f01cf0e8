-- Claims a batch of distinct ids, sorted. No rows: the owner may claim nothing.
-- Answers: 0 acquired, -1 acquired before by this very claim, 1 done, 2 busy, 3 stale, 4 ended now.
--
-- Every join below is a hash join over rows that were found by `id = any(…)`: a plan that is good for an empty table
-- and for a large one.
create function {schema}.claim_1(
    p_owner uuid, p_stale_after bigint, p_stale_error text,
    p_ids uuid[], p_names text[], p_queues text[], p_priorities smallint[], p_seqs bigint[], p_attempts integer[],
    p_crashes integer[], p_expires bigint[], p_schedules text[], p_tags text[], p_messages bytea[],
    p_published bigint[], p_tokens bigint[])
returns table (ord bigint, answer smallint, state smallint, fence bigint, seq bigint, attempts integer, crashes integer,
    due_at bigint, at bigint, cancel boolean)
language plpgsql volatile
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_hashjoin = on set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    v_slot smallint := {schema}.slot_1();
    v_now bigint;
    v_rows bigint[];
    v_made bigint;
begin
    perform pg_advisory_xact_lock_shared({schema}.owner_lock_1(p_owner));
    perform 1 from {schema}.member m where m.owner = p_owner and m.retired = 0;
    if not found then
        return;
    end if;
    v_now := {schema}.now_us();
    v_rows := array(select nextval('{schema}.task_row') from generate_series(1, cardinality(p_ids)));
    -- One pass in the order of ids makes the rows that are missing and locks those that are there (the update changes
    -- nothing, but locks). Everybody goes in this order: batches that overlap wait for each other, never in a circle.
    return query
    with made as (
        insert into {schema}.task (id, row, name, queue, priority, state, seq, attempts, crashes, due_at, recorded_at,
            expires_at, schedule_id, tags, fence, token, owner, started_at, enqueued_at, finished_at, bad, note)
        select i.id, i.row, i.name, i.queue, i.priority, i.state, i.seq, i.attempts, i.crashes, v_now, v_now,
            i.expires_at, i.schedule_id, i.tags,
            case i.state when 2 then v_now end, case i.state when 2 then i.token end,
            case i.state when 2 then p_owner end, case i.state when 2 then v_now end,
            case i.state when 2 then i.published end, case when i.state > 2 then v_now end, i.state > 2,
            case i.state when 5 then 'stale' when 7 then 'it did not start before it expired' end
        from (
            select u.*, (case
                when u.published < v_now - p_stale_after then 5
                when u.expires_at <= v_now then 7
                else 2
            end)::smallint as state
            from unnest(p_ids, v_rows, p_names, p_queues, p_priorities, p_seqs, p_attempts, p_crashes, p_expires,
                p_schedules, p_tags, p_published, p_tokens)
            as u (id, row, name, queue, priority, seq, attempts, crashes, expires_at, schedule_id, tags, published,
                token)
        ) i
        on conflict (id) do update set looks = task.looks where false
        returning row, queue, state, seq, attempts, crashes
    ), kept as (
        insert into {schema}.detail (task, message)
        select m.row, i.message from unnest(v_rows, p_messages) as i (row, message) join made m on m.row = i.row
    ), failed as (
        insert into {schema}.outcome (task, error) select m.row, p_stale_error from made m where m.state = 5
    ), counted as (
        insert into {schema}.tally (queue, state, slot, tasks)
        select m.queue, m.state, v_slot, count(*) from made m group by m.queue, m.state order by m.queue, m.state
        on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks
    )
    select i.ord, (case m.state when 2 then 0 else 4 end)::smallint, m.state, v_now, m.seq, m.attempts, m.crashes,
        null::bigint, v_now, false
    from unnest(v_rows) with ordinality as i (row, ord) join made m on m.row = i.row;
    get diagnostics v_made = row_count;
    if v_made < cardinality(p_ids) then
        return query
        with judged as materialized (
            select i.ord, i.token, i.seq as asked, t.id, t.queue, t.priority, t.state, t.seq, t.fence, t.attempts,
                t.crashes, t.due_at, t.enqueued_at, t.cancel,
                (case
                    when t.state >= 4 then 1
                    when t.state = 2 and t.owner = p_owner and t.token = i.token then -1
                    when t.state = 2 then 2
                    when t.state = 3 or t.seq > i.seq then 3
                    when t.expires_at <= v_now then 4
                    else 0
                end)::smallint as answer
            from {schema}.task t
            join unnest(p_ids, p_seqs, p_tokens, v_rows) with ordinality as i (id, seq, token, row, ord) on i.id = t.id
            where t.id = any (p_ids) and t.row <> i.row
        ), taken as (
            update {schema}.task t set state = 2, owner = p_owner, token = j.token, fence = greatest(t.fence + 1, v_now),
                -- A higher seq in the message means that the store forgot a move: adopt it.
                seq = greatest(t.seq, j.asked),
                started_at = v_now, enqueued_at = coalesce(t.enqueued_at, v_now),
                wake_at = null, looks = 0, parks = 0, parked_at = null, cancel = false, note = null
            from judged j where t.id = any (p_ids) and t.id = j.id and j.answer = 0
        ), expired as (
            update {schema}.task t set state = 7, bad = true, wake_at = null, finished_at = v_now, token = null, holds = null,
                note = 'it did not start before it expired'
            from judged j where t.id = any (p_ids) and t.id = j.id and j.answer = 4
        ), counted as (
            insert into {schema}.tally (queue, state, slot, tasks)
            select c.queue, c.state, v_slot, sum(c.n)
            from (
                select j.queue, j.state, -1 as n from judged j where j.answer in (0, 4)
                union all
                select j.queue, (case j.answer when 0 then 2 else 7 end)::smallint, 1
                from judged j where j.answer in (0, 4)
            ) c
            group by c.queue, c.state order by c.queue, c.state
            on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks
        ), progressed as (
            insert into {schema}.progress (queue, priority, slot, enqueued_at)
            select j.queue, j.priority, v_slot, max(coalesce(j.enqueued_at, v_now)) from judged j where j.answer = 0
            group by j.queue, j.priority order by j.queue, j.priority
            on conflict (queue, priority, slot)
                do update set enqueued_at = greatest(progress.enqueued_at, excluded.enqueued_at)
        )
        select j.ord, j.answer, (case j.answer when 4 then 7 else j.state end)::smallint,
            case j.answer when 0 then greatest(j.fence + 1, v_now) else j.fence end,
            greatest(j.seq, case j.answer when 0 then j.asked end), j.attempts, j.crashes, j.due_at, v_now,
            j.answer = -1 and j.cancel
        from judged j;
        if array_remove(p_expires, null) <> '{}' then
            perform {schema}.limit_release_1(array(
                select t.row from {schema}.task t where t.id = any (p_ids) and t.state = 7 and t.limited), v_now);
        end if;
    end if;
    insert into {schema}.claimed (owner, look_at, no, at, ids)
    values (p_owner, v_now + 2000000, nextval('{schema}.claimed_no'), v_now, p_ids);
    perform {schema}.forget_claimed_1(p_owner, v_now);
end $body$;

-- Forgets claims of this owner that have ended: a little with every claim, so that it never is much. What still runs is
-- looked at again after as long a time as it has been running.
create function {schema}.forget_claimed_1(p_owner uuid, p_now bigint) returns void language plpgsql volatile
as $body$
declare
    v_batch record;
    v_left uuid[];
begin
    for v_batch in
        select c.look_at, c.no, c.at, c.ids from {schema}.claimed c
        where c.owner = p_owner and c.look_at <= p_now order by c.look_at limit 2 for update skip locked
    loop
        v_left := array(
            select t.id from {schema}.task t where t.id = any (v_batch.ids) and t.owner = p_owner and t.state = 2);
        if v_left = '{}' then
            delete from {schema}.claimed c where c.owner = p_owner and c.look_at = v_batch.look_at and c.no = v_batch.no;
        else
            update {schema}.claimed c set ids = v_left, look_at = p_now + greatest(p_now - v_batch.at, 2000000)
            where c.owner = p_owner and c.look_at = v_batch.look_at and c.no = v_batch.no;
        end if;
    end loop;
end $body$;
