"""The SQL for whoever may change a database where dblog may not."""

import io
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from psycopg import sql

from dblog.errors import UsageError
from dblog.periods import PartitionBy, reach_ahead
from dblog.store.engine import verbatim
from dblog.store.layout import Layout
from dblog.store.migrate import context_options
from dblog.store.names import Names

HOUR: Final = timedelta(hours=1)


def sql_script(layout: Layout, partitions_ahead: int, *, since: str | None = None) -> str:
    """The SQL that does the work of `upgrade`, for whoever may run it.

    Args:
        layout: The names, the granularity and the index profile.
        partitions_ahead: How many periods from now get their partitions.
        since: The revision of the tables that are there; None for new tables.

    Raises:
        UsageError: There is no such revision.
    """
    names = layout.names
    options = context_options(layout, "head")
    known = [revision.revision for revision in options["script"].walk_revisions()]
    if since not in (None, *known):
        raise UsageError(f"--from-revision {since}: no such revision; accepted: {', '.join(sorted(known))}")
    out = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        opts={**options, "as_sql": True, "literal_binds": True, "output_buffer": out, "starting_rev": since},
    )
    operations = Operations(context)
    with context.begin_transaction():
        if names.schema != "public":
            operations.execute(sa.schema.CreateSchema(names.schema, if_not_exists=True))
        context.run_migrations(operations=operations)
        operations.execute(verbatim(_partitions_ahead(layout, partitions_ahead)))
    return out.getvalue() + _grants(names)


def _partitions_ahead(layout: Layout, ahead: int) -> str:
    """Make a partition for now and for each period of the records and of the ledger that begins within their reach."""
    records, ledger = (f"interval '{reach // HOUR} hours'" for reach in reach_ahead(layout.partition_by, ahead))
    names = layout.names
    return f"""SELECT {names.qualified(names.make_partition)}(moment)
FROM (
    SELECT now()
    UNION {_beginnings(layout.partition_by, records)}
    UNION {_beginnings("day", ledger)}
) AS ahead (moment)
ORDER BY moment"""


def _beginnings(granularity: PartitionBy, reach: str) -> str:
    now, step = "now() AT TIME ZONE 'UTC'", f"interval '1 {granularity}'"
    first = f"date_trunc('{granularity}', {now}) + {step}"
    return f"SELECT start AT TIME ZONE 'UTC' FROM generate_series({first}, {now} + {reach}, {step}) AS start"


def _grants(names: Names) -> str:
    schema = sql.Identifier(names.schema).as_string(None)
    tables = f"{names.qualified(names.logs)}, {names.qualified(names.batches)}"
    return f"""
-- The rights of a role that only writes and of one that only reads; put your roles in:
-- GRANT USAGE ON SCHEMA {schema} TO writer, reader;
-- GRANT INSERT ON {tables} TO writer;
-- GRANT EXECUTE ON FUNCTION {names.qualified(names.make_partition)}(timestamptz) TO writer;
-- GRANT SELECT ON {tables} TO reader;
"""
