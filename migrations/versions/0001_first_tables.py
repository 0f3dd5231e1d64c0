"""The tables of the records, the ledger, the settings, and the function that makes partitions.

Revision ID: 0001
Revises:
Create Date: 2026-11-21
"""

from typing import Any, cast

import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from psycopg import sql
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# With `alembic upgrade` this stands for the operations of the running environment; a program hands in its own.
RUNNING = cast("Operations", op)


class Xid8(sa.types.UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction number."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return "xid8"


INDEXES = {
    "minimal": {},
    "standard": {
        "by_logger": ["logger_name", "timestamp"],
        "warnings": ["timestamp", "level_no"],
        "warnings_by_logger": ["logger_name", "timestamp", "level_no"],
        "by_trace": ["trace_id"],
    },
    "full": {
        "by_level": ["level", "timestamp"],
        "by_logger": ["logger_name", "timestamp"],
        "by_host": ["hostname", "timestamp"],
        "by_time_level_logger": ["timestamp", "level", "logger_name"],
        "warnings": ["timestamp", "level_no"],
        "warnings_by_logger": ["logger_name", "timestamp", "level_no"],
        "by_trace": ["trace_id"],
    },
}
PARTIAL = {
    "warnings": "level_no >= 30",
    "warnings_by_logger": "level_no >= 30",
    "by_trace": "trace_id IS NOT NULL",
}

# The bounds in the catalogue, never the names, say what a partition holds. ATTACH lets writers and readers pass, where
# CREATE TABLE ... PARTITION OF would wait for them and make every new insert queue behind itself. An identity that was
# copied along would stop ATTACH on PostgreSQL 17 and later. One more day than the documented window is allowed on
# either side, because the writers look at clocks of their own.
MAKE_PARTITION = """
CREATE FUNCTION {function}(at timestamptz) RETURNS text
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
               greatest(starts, max(p.until) FILTER (WHERE p.until <= at)),
               least(ends, min(p.since) FILTER (WHERE p.since > at))
        INTO holder, leaving, starts, ends
        FROM (
            SELECT c.relname::text AS name, i.inhdetachpending AS leaving,
                   coalesce(substring(b FROM 'FROM [(]''([^'']+)''')::timestamptz, '-infinity') AS since,
                   coalesce(substring(b FROM 'TO [(]''([^'']+)''')::timestamptz, 'infinity') AS until
            FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid
            CROSS JOIN pg_get_expr(c.relpartbound, c.oid) b
            WHERE i.inhparent = parent AND b <> 'DEFAULT'
        ) p;
        IF leaving THEN
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
    """Make everything in the schema and under the prefix that the layout names."""
    layout = operations.get_context().opts["dblog"]
    _create_logs(operations, layout.names, layout.indexes)
    _create_batches(operations, layout.names)
    _create_settings(operations, layout)
    _create_function(operations, layout.names)
    _publish(operations, layout.names)


def downgrade(operations: Operations = RUNNING) -> None:
    """Remove everything again, with all records."""
    names = operations.get_context().opts["dblog"].names
    _run(operations, f"DROP FUNCTION {names.qualified(names.make_partition)}(timestamptz)")
    for table in (names.settings, names.batches, names.logs):
        operations.drop_table(table, schema=names.schema)


def _create_logs(operations: Operations, names: Any, indexes: str) -> None:
    c_text = sa.Text(collation="C")
    moment = sa.TIMESTAMP(timezone=True)
    operations.create_table(
        names.logs,
        _column("writer_id", sa.Uuid(), "The writer (one handler in one process) that delivered the row"),
        _column("batch_seq", sa.BigInteger(), "The batch of that writer, counted from 1"),
        _column("timestamp", moment, "When the record was made, by the clock of its host"),
        _column("level_no", sa.Integer(), "The number of the level: 10 DEBUG, 20 INFO, 30 WARNING, 40 ERROR"),
        _column("level", c_text, "The name of the level"),
        _column("logger_name", c_text, "The logger, by its dotted name"),
        _optional("service", c_text, "The service that the handler was configured for"),
        _column("hostname", c_text, "The host of the process"),
        _optional("process_id", sa.Integer(), "The process"),
        _optional("module", sa.Text(), "The module of the call"),
        _optional("function_name", sa.Text(), "The function of the call"),
        _optional("filename", sa.Text(), "The file of the call, without its folder"),
        _optional("lineno", sa.Integer(), "The line of the call"),
        _optional("pathname", sa.Text(), "The file of the call, with its folder"),
        _optional("thread_id", sa.BigInteger(), "The thread, as threading.get_ident() gives it"),
        _optional("thread_name", sa.Text(), "The name of the thread"),
        _optional("task_name", sa.Text(), "The name of the asyncio task"),
        _optional("trace_id", sa.Text(), "The trace, 32 hexadecimal digits where OpenTelemetry gave it"),
        _optional("span_id", sa.Text(), "The span, 16 hexadecimal digits where OpenTelemetry gave it"),
        _optional("exception_type", sa.Text(), "The qualified name of the exception's class"),
        _optional("exception", sa.Text(), "The traceback"),
        _optional("stack_info", sa.Text(), "The stack of the call, where stack_info=True asked for it"),
        _optional("extra_data", postgresql.JSONB(), "What extra={...} carried, without the values of secret keys"),
        _column("message", sa.Text(), "The message, with its arguments merged in"),
        _column("id", sa.BigInteger(), "Counts the rows in the order of their arrival", sa.Identity(always=False)),
        _column("created_at", moment, "When the row was inserted, by the clock of the server", default="now()"),
        sa.PrimaryKeyConstraint("timestamp", "id", name=f"{names.logs}_pkey", postgresql_include=["level"]),
        schema=names.schema,
        comment="Log records, one row each, partitioned by timestamp",
        postgresql_partition_by='RANGE ("timestamp")',
    )
    for suffix, keys in INDEXES[indexes].items():
        where = sa.text(PARTIAL[suffix]) if suffix in PARTIAL else None
        operations.create_index(f"{names.logs}_{suffix}", names.logs, keys, schema=names.schema, postgresql_where=where)


def _create_batches(operations: Operations, names: Any) -> None:
    moment = sa.TIMESTAMP(timezone=True)
    operations.create_table(
        names.batches,
        _column("birth_day", sa.Date(), "The UTC day on which the batch was formed: the partition key"),
        _column("writer_id", sa.Uuid(), "The writer: one handler in one process"),
        _column("batch_seq", sa.BigInteger(), "The batch of that writer, counted from 1 without gaps"),
        _column("rows_stored", sa.Integer(), "Rows of the batch in the table"),
        _column("rows_rejected", sa.Integer(), "Rows of the batch that PostgreSQL refused, set aside by the writer"),
        _optional("time_from", moment, "The smallest timestamp among the rows"),
        _optional("time_to", moment, "The largest timestamp among the rows"),
        _column("accepted", sa.BigInteger(), "Records that the writer had accepted when the batch was formed"),
        _column("closing", sa.Boolean(), "True where the writer closed in order; later batches were logged after that"),
        _optional("service", sa.Text(collation="C"), "The service of the writer"),
        _column("hostname", sa.Text(collation="C"), "The host of the writer"),
        _column("process_id", sa.Integer(), "The process of the writer"),
        _column(
            "xact_id",
            Xid8(),
            "The transaction: what `dblog tail -f` follows, so that late commits are seen",
            default="pg_current_xact_id()",
        ),
        _column("created_at", moment, "When the batch was delivered, by the clock of the server", default="now()"),
        sa.PrimaryKeyConstraint("birth_day", "writer_id", "batch_seq", name=f"{names.batches}_pkey"),
        schema=names.schema,
        comment="The ledger: one row for each batch that was delivered, partitioned by its day of birth",
        postgresql_partition_by="RANGE (birth_day)",
    )
    operations.create_index(f"{names.batches}_by_xact", names.batches, ["xact_id"], schema=names.schema)


def _create_settings(operations: Operations, layout: Any) -> None:
    names = layout.names
    table = operations.create_table(
        names.settings,
        _column("name", sa.Text(), "The setting"),
        _column("value", sa.Text(), "Its value"),
        sa.PrimaryKeyConstraint("name", name=f"{names.settings}_pkey"),
        sa.CheckConstraint(
            "name <> 'partition_by' OR value IN ('hour', 'day', 'week', 'month')", name=f"{names.settings}_check"
        ),
        schema=names.schema,
        comment="What the database itself has to know: partition_by for new partitions, indexes",
    )
    values = {"partition_by": layout.partition_by, "indexes": layout.indexes}
    operations.bulk_insert(table, [{"name": name, "value": value} for name, value in values.items()])


def _create_function(operations: Operations, names: Any) -> None:
    function = names.qualified(names.make_partition)
    texts = {
        "logs": names.qualified(names.logs),
        "batches": names.qualified(names.batches),
        "lock": names.lock,
        "comment": "Makes the partitions of the records and of the ledger that hold a moment, unless they are there",
    }
    literals = {key: sql.Literal(text).as_string(None) for key, text in texts.items()}
    _run(
        operations,
        MAKE_PARTITION.strip().format(function=function, settings=names.qualified(names.settings), **literals),
    )
    _run(operations, f"REVOKE ALL ON FUNCTION {function}(timestamptz) FROM PUBLIC")
    _run(operations, f"COMMENT ON FUNCTION {function}(timestamptz) IS {literals['comment']}")


def _publish(operations: Operations, names: Any) -> None:
    """Let every role that may use the schema see the revision and the settings, which hold nothing of the records."""
    for table in (names.settings, names.version_table):
        _run(operations, f"GRANT SELECT ON {names.qualified(table)} TO PUBLIC")


def _run(operations: Operations, statement: str) -> None:
    operations.execute(sa.text(statement.replace(":", "\\:")))  # no colon of ours marks a parameter


def _column(
    name: str, type_: sa.types.TypeEngine[Any], comment: str, *constraints: Any, default: str | None = None
) -> sa.Column[Any]:
    server_default = sa.text(default) if default else None
    return sa.Column(name, type_, *constraints, nullable=False, server_default=server_default, comment=comment)


def _optional(name: str, type_: sa.types.TypeEngine[Any], comment: str) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=True, comment=comment)
