-- Settles a batch of distinct ids, sorted, in one pass: only a running row with this fence and token is changed.
-- Kinds: 0 succeeded, 1 retry, 2 dead, 3 cancelled, 4 snooze, 5 released.
-- Answers: 0 applied (with the state then), 1 settled before. What is left out is stale.
-- With `p_owner`, claims are given back in the owner's name, and their tokens go: a settle that still comes is no
-- repetition and must be told that it is stale.
create function {schema}.settle_1(
    p_owner uuid, p_ids uuid[], p_fences bigint[], p_tokens bigint[], p_kinds smallint[], p_delays bigint[],
    p_notes text[], p_errors text[], p_results bytea[])
returns table (ord bigint, answer smallint, state smallint)
language plpgsql volatile
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_hashjoin = on set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    v_slot smallint := {schema}.slot_1();
    v_now bigint := {schema}.now_us();
    v_ords bigint[];
    v_states smallint[];
    v_limited bigint[];
begin
    with settled as (
        -- Both sides of the join come in the order of ids, and so the rows are locked in it.
        update {schema}.task t set
            state = case when i.kind = 0 then 4 when i.kind = 3 or t.cancel then 6 when i.kind = 2 then 5 else 0 end,
            bad = i.kind <> 0 and (i.kind in (2, 3) or t.cancel),
            seq = case when i.kind in (1, 4, 5) and not t.cancel then t.seq + 1 else t.seq end,
            attempts = case when i.kind in (1, 2) then t.attempts + 1 else t.attempts end,
            due_at = case when i.kind in (1, 4, 5) and not t.cancel then v_now + i.delay else t.due_at end,
            wake_at = case when i.kind in (1, 4, 5) and not t.cancel then v_now + i.delay end,
            finished_at = case when i.kind in (1, 4, 5) and not t.cancel then null else v_now end,
            cancel = t.cancel and i.kind not in (1, 4, 5),
            token = case when p_owner is null then t.token end,
            holds = case when i.kind in (1, 4, 5) and not t.cancel then t.holds end,
            note = case
                when i.kind = 0 then t.note
                when i.kind = 3 then i.note
                when t.cancel and i.kind in (1, 2) then 'cancelled while it ran; the run failed'
                when t.cancel then 'cancelled while it ran'
                when i.kind = 2 then t.note
                else i.note
            end
        from unnest(p_ids, p_fences, p_tokens, p_kinds, p_delays, p_notes) with ordinality
            as i (id, fence, token, kind, delay, note, ord)
        where t.id = any (p_ids) and t.id = i.id and t.state = 2 and t.fence = i.fence and t.token = i.token
            and (p_owner is null or t.owner = p_owner)
        returning i.ord, t.row, t.queue, t.state, t.limited
    ), left_behind as (
        insert into {schema}.outcome (task, error, result)
        select s.row, o.error, o.result
        from unnest(p_errors, p_results) with ordinality as o (error, result, ord) join settled s on s.ord = o.ord
        where o.error is not null or o.result is not null
        on conflict (task) do update set error = coalesce(excluded.error, outcome.error), result = excluded.result
    ), counted as (
        insert into {schema}.tally (queue, state, slot, tasks)
        select c.queue, c.state, v_slot, sum(c.n)
        from (
            select s.queue, 2::smallint as state, -count(*) as n from settled s group by s.queue
            union all
            select s.queue, s.state, count(*) from settled s group by s.queue, s.state
        ) c
        group by c.queue, c.state order by c.queue, c.state
        on conflict (queue, state, slot) do update set tasks = tally.tasks + excluded.tasks
    )
    select array_agg(s.ord), array_agg(s.state), array_agg(s.row) filter (where s.limited)
    into v_ords, v_states, v_limited from settled s;
    if v_limited is not null then
        perform {schema}.limit_release_1(v_limited, v_now);
    end if;
    return query select u.ord, 0::smallint, u.state from unnest(v_ords, v_states) as u (ord, state);
    if coalesce(cardinality(v_ords), 0) < cardinality(p_ids) then
        -- Whatever ends a claim other than its own settle clears the token: a token that is left was settled.
        return query
        select i.ord, 1::smallint, t.state
        from {schema}.task t
        join unnest(p_ids, p_fences, p_tokens) with ordinality as i (id, fence, token, ord) on i.id = t.id
        where t.id = any (p_ids) and t.fence = i.fence and t.token = i.token and t.state <> 2
            and p_owner is null and i.ord <> all (coalesce(v_ords, '{}'));
    end if;
end $body$;

-- Rows running in an owner's name.
create function {schema}.mine_1(p_owner uuid) returns table (id uuid, fence bigint, token bigint)
language sql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
    select t.id, t.fence, t.token from {schema}.task t
    where t.id = any (array(select unnest(c.ids) from {schema}.claimed c where c.owner = p_owner))
        and t.owner = p_owner and t.state = 2
    order by t.id
$body$;

-- A member leaves in good order: what still runs in its name is given back.
create function {schema}.leave_1(p_owner uuid, p_note text) returns bigint language plpgsql volatile
as $body$
declare
    v_ids uuid[];
    v_fences bigint[];
    v_tokens bigint[];
    v_released bigint := 0;
begin
    perform pg_advisory_xact_lock({schema}.owner_lock_1(p_owner));
    update {schema}.member m set retired = 2 where m.owner = p_owner and m.retired = 0;
    select array_agg(c.id), array_agg(c.fence), array_agg(c.token) into v_ids, v_fences, v_tokens
    from {schema}.mine_1(p_owner) c;
    if v_ids is not null then
        select count(*) into v_released from {schema}.settle_1(p_owner, v_ids, v_fences, v_tokens,
            array_fill(5::smallint, array[cardinality(v_ids)]), array_fill(0::bigint, array[cardinality(v_ids)]),
            array_fill(p_note, array[cardinality(v_ids)]), null, null);
    end if;
    delete from {schema}.claimed c where c.owner = p_owner;
    return v_released;
end $body$;

-- One round trip of a member: that it is alive, and what it should know.
create function {schema}.heartbeat_1(
    p_owner uuid, p_role smallint, p_name text, p_info text, p_counter bigint, p_lease bigint)
returns table (now bigint, retired boolean, cancels uuid[], paused text[], owners uuid[], roles smallint[],
    counters bigint[], leases bigint[])
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
#variable_conflict use_column
declare
    v_now bigint := {schema}.now_us();
begin
    insert into {schema}.member as m (owner, role, name, info, counter, lease, started_at, seen_at)
    values (p_owner, p_role, p_name, p_info, p_counter, p_lease, v_now, v_now)
    on conflict (owner) do update set info = excluded.info, counter = excluded.counter, lease = excluded.lease,
        seen_at = excluded.seen_at
    where m.retired = 0;
    return query
    select v_now,
        not exists (select from {schema}.member m where m.owner = p_owner and m.retired = 0),
        array(
            select c.id from {schema}.cancel c
            join {schema}.task t on t.id = c.id and t.owner = c.owner and t.state = 2 and t.cancel
            where c.owner = p_owner order by c.id),
        array(select p.queue from {schema}.paused p order by p.queue),
        p.owners, p.roles, p.counters, p.leases
    from (
        select coalesce(array_agg(m.owner), '{}'), coalesce(array_agg(m.role), '{}'),
            coalesce(array_agg(m.counter), '{}'), coalesce(array_agg(m.lease), '{}')
        from {schema}.member m where m.retired = 0
    ) p (owners, roles, counters, leases);
end $body$;
