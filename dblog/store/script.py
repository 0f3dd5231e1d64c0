"""The SQL for whoever may change a database where dblog may not."""

import io

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from psycopg import sql

from dblog.errors import UsageError
from dblog.periods import offsets_ahead
from dblog.store.engine import verbatim
from dblog.store.layout import Layout
from dblog.store.migrate import context_options
from dblog.store.names import Names


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
        for offset in offsets_ahead(layout.partition_by, partitions_ahead):
            hours = int(offset.total_seconds() // 3600)
            call = f"SELECT {names.qualified(names.make_partition)}(now() + interval '{hours} hours')"
            operations.execute(verbatim(call))
    return out.getvalue() + _grants(names)


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
