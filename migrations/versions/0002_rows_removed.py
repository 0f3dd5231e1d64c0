"""The ledger counts what the retention deleted on purpose; the settings say which writers may go on.

The function that makes partitions no longer waits for one that has expired and is half detached.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-21
"""

from typing import Any, cast

import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from psycopg import sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# With `alembic upgrade` this stands for the operations of the running environment; a program hands in its own.
RUNNING = cast("Operations", op)

# A new column needs the ledger for itself, for a moment: whoever upgrades tries again where that is not to be had,
# because every writer queues behind an attempt.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"

# As in 0001, except that a moment whose partition has expired and is being detached has no partition any more: nobody
# can tell when the detaching will end, and a row may be stored under another time, as others from outside the window.
MAKE_PARTITION = """
CREATE OR REPLACE FUNCTION {function}(at timestamptz) RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $dblog$
DECLARE
    parent regclass;
    step text;
    starts timestamptz;
    ends timestamptz;
    holder text;
    leaving boolean;
    expired boolean;
    home regnamespace;
    stem text;
    part text;
    copies integer;
    answer text;
BEGIN
    IF at IS NULL OR at < clock_timestamp() - interval '401 days' OR at > clock_timestamp() + interval '32 days' THEN
        RAISE EXCEPTION USING ERRCODE = '22008',
            MESSAGE = format('partitions are made from 400 days before to 31 days after now, not for %s', at);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended({lock}, 0));
    FOREACH parent IN ARRAY ARRAY[{batches}, {logs}]::regclass[] LOOP
        step := 'day';
        IF parent = {logs}::regclass THEN
            SELECT s.value INTO STRICT step FROM {settings} s WHERE s.name = 'partition_by';
        END IF;
        starts := date_trunc(step, at);
        ends := starts + ('1 ' || step)::interval;
        SELECT max(p.name) FILTER (WHERE at >= p.since AND at < p.until),
               bool_or(p.leaving) FILTER (WHERE at >= p.since AND at < p.until),
               bool_or(p.expired) FILTER (WHERE at >= p.since AND at < p.until),
               greatest(starts, max(p.until) FILTER (WHERE p.until <= at)),
               least(ends, min(p.since) FILTER (WHERE p.since > at))
        INTO holder, leaving, expired, starts, ends
        FROM (
            SELECT c.relname::text AS name, i.inhdetachpending AS leaving,
                   starts_with(obj_description(c.oid, 'pg_class'),
                               format('dblog partition of %s, expired', parent)) AS expired,
                   coalesce(substring(b FROM 'FROM [(]''([^'']+)''')::timestamptz, '-infinity') AS since,
                   coalesce(substring(b FROM 'TO [(]''([^'']+)''')::timestamptz, 'infinity') AS until
            FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid
            CROSS JOIN pg_get_expr(c.relpartbound, c.oid) b
            WHERE i.inhparent = parent AND b <> 'DEFAULT'
        ) p;
        IF leaving AND expired THEN
            RAISE EXCEPTION USING ERRCODE = '22008',
                MESSAGE = format('%s has expired and is being removed: no partition is made for %s', holder, at);
        ELSIF leaving THEN
            RAISE EXCEPTION USING ERRCODE = '55P03',
                MESSAGE = format('%s is being detached; try again, or run dblog prune', holder);
        END IF;
        answer := holder;
        CONTINUE WHEN holder IS NOT NULL;

        SELECT c.relnamespace::regnamespace, c.relname || to_char(starts, CASE step
            WHEN 'hour' THEN '"_p"YYYYMMDD_HH24'
            WHEN 'day' THEN '"_p"YYYYMMDD'
            WHEN 'week' THEN '"_p"IYYY"w"IW'
            WHEN 'month' THEN '"_p"YYYYMM'
        END) INTO STRICT home, stem FROM pg_class c WHERE c.oid = parent;
        part := stem;
        copies := 1;
        WHILE EXISTS (SELECT FROM pg_class c WHERE c.relname = part AND c.relnamespace = home)
           OR EXISTS (SELECT FROM pg_type t WHERE t.typname = part AND t.typnamespace = home)
        LOOP
            copies := copies + 1;
            part := stem || '_' || copies;
        END LOOP;
        EXECUTE format('CREATE TABLE %s.%I (LIKE %s INCLUDING ALL EXCLUDING IDENTITY)', home, part, parent);
        EXECUTE format('COMMENT ON TABLE %s.%I IS %L', home, part, format('dblog partition of %s', parent));
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, home, part, starts, ends);
        answer := part;
    END LOOP;
    RETURN answer;
END
$dblog$
"""


def upgrade(operations: Operations = RUNNING) -> None:
    """Add the column, which rewrites and scans nothing; last, so that its lock is held for the shortest time."""
    names = operations.get_context().opts["dblog"].names
    operations.execute(LOCK_TIMEOUT)
    _replace_function(operations, names)
    operations.bulk_insert(_settings(names), [{"name": "oldest_writer", "value": "0001"}])
    operations.add_column(
        names.batches,
        sa.Column(
            "rows_removed",
            sa.Integer(),
            nullable=False,
            server_default=sa.text("0"),
            comment="Rows of the batch that the retention deleted on purpose",
        ),
        schema=names.schema,
    )


def downgrade(operations: Operations = RUNNING) -> None:
    """Forget what was removed on purpose, which `dblog verify` will call missing; the function serves 0001, too."""
    names = operations.get_context().opts["dblog"].names
    operations.execute(LOCK_TIMEOUT)
    settings = _settings(names)
    operations.execute(sa.delete(settings).where(settings.c.name == "oldest_writer"))
    operations.drop_column(names.batches, "rows_removed", schema=names.schema)


def _replace_function(operations: Operations, names: Any) -> None:
    texts = {"logs": names.qualified(names.logs), "batches": names.qualified(names.batches), "lock": names.lock}
    literals = {key: sql.Literal(text).as_string(None) for key, text in texts.items()}
    statement = MAKE_PARTITION.strip().format(
        function=names.qualified(names.make_partition), settings=names.qualified(names.settings), **literals
    )
    operations.execute(sa.text(statement.replace(":", "\\:")))  # no colon of ours marks a parameter


def _settings(names: Any) -> sa.TableClause:
    return sa.table(names.settings, sa.column("name", sa.Text), sa.column("value", sa.Text), schema=names.schema)
