-- Retention inside the server, for a database where nothing else can run. Needs the extension pg_cron and the owner of
-- the tables dblog_* in the schema public; change the names and the 365 days below where yours are others.
--
--     psql -v ON_ERROR_STOP=1 -f retention.sql
--
-- `ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY`, the only way to detach without blocking anybody, cannot be part of
-- a transaction: no function and no DO block may contain it, but a job of pg_cron may be that one statement. So two
-- jobs take turns. `dblog plan` drops what is detached, marks the oldest partition that is due, and schedules the
-- statement that detaches it as `dblog detach`, once, in the next minute.
--
-- It knows less than `dblog maintain`: one number of days for all records, no rows deleted by level or logger, no limit in
-- bytes, no archive, no doubts about a clock that jumped, no frozen partitions. It refuses to drop more than half of the
-- partitions, leaves restored ones alone, touches nothing without dblog's mark, and `dblog verify` knows what it removed.

CREATE OR REPLACE FUNCTION public.dblog_plan_retention(keep_days integer) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '300ms'
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $plan$
DECLARE
    ledger_days CONSTANT integer := 30; -- as long as a batch may still come
    part record;
    answer text := 'nothing is due';
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION 'keep at least one day';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('prune dblog public.dblog', 0)) THEN
        RETURN 'another process is pruning';
    END IF;
    PERFORM public.dblog_make_partition(now() + ahead * interval '1 day') FROM generate_series(0, 7) AS ahead;

    FOR part IN
        SELECT c.oid::regclass AS name FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
          AND obj_description(c.oid, 'pg_class') IN ('dblog partition of public.dblog_logs, expired',
                                                     'dblog partition of public.dblog_batches, expired')
    LOOP
        EXECUTE format('DROP TABLE %s', part.name);
    END LOOP;
    PERFORM cron.unschedule(j.jobid) FROM cron.job j WHERE j.jobname = 'dblog detach';

    FOR part IN
        SELECT p.*, count(*) FILTER (WHERE p.due AND p.logs) OVER () AS going, p.all_logs
        FROM (
            SELECT c.oid::regclass AS name, i.inhparent::regclass AS parent, i.inhdetachpending AS pending, u.until,
                   i.inhparent = 'public.dblog_logs'::regclass AS logs,
                   u.until <= now() - d.days * interval '1 day' AS due,
                   count(*) FILTER (WHERE i.inhparent = 'public.dblog_logs'::regclass) OVER () AS all_logs
            FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid
            CROSS JOIN LATERAL (SELECT substring(pg_get_expr(c.relpartbound, c.oid)
                                                 FROM 'TO [(]''([^'']+)''')::timestamptz AS until) AS u
            CROSS JOIN LATERAL (SELECT CASE i.inhparent WHEN 'public.dblog_logs'::regclass THEN keep_days
                                                        ELSE ledger_days END AS days) AS d
            WHERE i.inhparent IN ('public.dblog_logs'::regclass, 'public.dblog_batches'::regclass)
              AND starts_with(obj_description(c.oid, 'pg_class'), 'dblog partition of ')
              AND NOT EXISTS (SELECT FROM public.dblog_settings s
                              WHERE CASE WHEN s.name = 'hold ' || c.relname THEN s.value::timestamptz > now() END)
        ) AS p
        WHERE p.due OR p.pending
        ORDER BY p.pending DESC, p.until, p.logs DESC
    LOOP
        IF part.pending THEN
            EXECUTE format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', part.parent, part.name);
            answer := format('finished to detach %s', part.name);
            CONTINUE;
        ELSIF part.going > 2 AND part.going * 2 > part.all_logs THEN
            RETURN 'more than half of the partitions would go: look at what dblog prune --dry-run shows';
        END IF;
        INSERT INTO public.dblog_settings AS known (name, value)
        VALUES (CASE WHEN part.logs THEN 'pruned_before' ELSE 'ledger_pruned_before' END,
                to_char(part.until, 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'))
        ON CONFLICT (name) DO UPDATE SET value = excluded.value
        WHERE known.value::timestamptz < excluded.value::timestamptz;
        EXECUTE format('COMMENT ON TABLE %s IS %L', part.name, format('dblog partition of %s, expired', part.parent));
        PERFORM cron.schedule('dblog detach', to_char(now() + interval '1 minute', 'MI HH24 DD MM') || ' *',
                              format('ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY', part.parent, part.name));
        RETURN format('%s is detached in the next minute', part.name);
    END LOOP;
    RETURN answer;
END
$plan$;

REVOKE ALL ON FUNCTION public.dblog_plan_retention(integer) FROM PUBLIC;

-- Each five minutes, so that what is due after a long pause goes a partition at a time. The times are those of cron.timezone,
-- which has to be GMT, as it is by default.
SELECT cron.schedule('dblog plan', '*/5 * * * *', 'SELECT public.dblog_plan_retention(365)');
