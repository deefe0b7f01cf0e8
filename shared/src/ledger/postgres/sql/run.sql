-- The newest of these runs, as many as are kept: by their number, and by the bytes of their texts.
create function {schema}.newest_runs_1(p_runs text[]) returns text[] language sql immutable as
$body$
    select array_agg(n.run order by n.ord)
    from (
        select u.run, u.ord, row_number() over (order by u.ord desc) as back,
            sum(octet_length(u.run)) over (order by u.ord desc) as bytes
        from unnest(p_runs) with ordinality as u (run, ord)
    ) n
    where n.back = 1 or (n.back <= 20 and n.bytes <= 65536)
$body$;

-- Adds the run that each of these rows tells of, which ends now, to the story of its task. The rows are locked; their owners
-- and when they started stay with them until the next claim.
create function {schema}.keep_runs_1(p_ids uuid[], p_ends text[], p_notes text[], p_errors text[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_hashjoin = on set plan_cache_mode = force_generic_plan
as $body$
declare
    v_now bigint := {schema}.now_us();
begin
    insert into {schema}.run (task, ended, kept)
    select t.row, 1, array[json_build_object('started_at', coalesce(t.started_at, v_now), 'ended_at', v_now,
        'worker', m.name, 'end', i.became, 'error', i.error::json, 'note', i.note)::text]
    from unnest(p_ids, p_ends, p_notes, p_errors) as i (id, became, note, error)
    join {schema}.task t on t.id = i.id
    left join {schema}.member m on m.owner = t.owner
    where t.id = any (p_ids)
    on conflict (task) do update set ended = run.ended + 1, kept = {schema}.newest_runs_1(run.kept || excluded.kept);
end $body$;

-- As above, for those of a batch of settles that applied.
create function {schema}.keep_settled_1(
    p_ids uuid[], p_kinds smallint[], p_notes text[], p_errors text[], p_ords bigint[], p_states smallint[])
returns void
language plpgsql volatile
as $body$
declare
    v_ids uuid[];
    v_ends text[];
    v_notes text[];
    v_errors text[];
begin
    select array_agg(i.id), array_agg(case when s.state = 6 then 'cancelled' else
            (array['retry', 'dead', 'cancelled', 'snoozed', 'released', 'crashed', 'crashed'])[i.kind] end),
        array_agg(case when i.kind in (3, 5) then i.note end), array_agg(i.error)
    into v_ids, v_ends, v_notes, v_errors
    from unnest(p_ids, p_kinds, p_notes, p_errors) with ordinality as i (id, kind, note, error, ord)
    join unnest(p_ords, p_states) as s (ord, state) on s.ord = i.ord
    where i.kind <> 0;
    if v_ids is not null then
        perform {schema}.keep_runs_1(v_ids, v_ends, v_notes, v_errors);
    end if;
end $body$;
