-- Those of an earlier version go: what they take or answer may have changed. Whoever put functions of their own into this
-- schema keeps them: ours end in the version of what they take, but for one, and for three that others call, which
-- are replaced (transaction.sql).
do $do$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = trim(both '"' from '{schema}')
            and (p.proname ~ '_[0-9]+$' or p.proname = 'now_us'
                -- One that knows fewer arguments would stand beside the new one, and no call could choose.
                or (p.proname in ('publish', 'publish_or_find') and not 'deadline_at' = any (p.proargnames)))
    loop
        execute 'drop function ' || v_function;
    end loop;
end $do$;

-- The store's time in microseconds: whatever is compared with now is compared with this.
create function {schema}.now_us() returns bigint language sql volatile as
$$ select (extract(epoch from clock_timestamp()) * 1000000)::bigint $$;

-- Held shared by claims of this owner, and alone by whoever retires it: no claim is on its way afterwards.
create function {schema}.owner_lock_1(p_owner uuid) returns bigint language sql immutable as
$$ select uuid_hash_extended(p_owner, hashtextextended('{schema}', 1)) $$;

-- A slot of `tally` and `progress` for this transaction alone: that of its connection, or the next one that is free. Those
-- beyond the first 128 are for when users' own transactions, which take as long as they like, have taken all of these. Only
-- if every slot is taken is one shared.
create function {schema}.slot_1() returns smallint language plpgsql volatile as
$body$
declare
    v_slot integer := pg_backend_pid() % 128;
begin
    for v_try in 1..1023 loop
        exit when pg_try_advisory_xact_lock(hashtext('{schema}'), v_slot);
        v_slot := case when v_try < 128 then (v_slot + 1) % 128 else v_try end;
    end loop;
    return v_slot;
end $body$;
