"""Archived rows in a temporary table, from where they are compared with a partition or put back into the table."""

import sqlalchemy as sa
from psycopg import sql

from dblog.archive.catalog import Archive, ArchivedFile
from dblog.archive.formats import format_of
from dblog.archive.relation import columns_of, driver_of
from dblog.errors import DblogError
from dblog.store.engine import verbatim
from dblog.store.quoting import quoted

STAGED = "dblog_staged"
"""The temporary table; it goes with its transaction."""


def make_stage(connection: sa.Connection, like: str) -> None:
    """Make an empty table with the columns of another, any of which may be NULL; the other is not locked by it."""
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in connection.execute(_COLUMNS, {"table": like}))
    connection.execute(verbatim(f"CREATE TEMPORARY TABLE {STAGED} ({columns}) ON COMMIT DROP"))


_COLUMNS = sa.text(
    """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    """
)


def stage(connection: sa.Connection, archive: Archive, file: ArchivedFile) -> None:
    """Put the rows of a file into the temporary table.

    Raises:
        DblogError: The file is missing or damaged, or has columns that the table lacks.
    """
    manifest = file.manifest
    lacking = {column.name for column in manifest.columns} - {name for name, _ in columns_of(connection, STAGED)}
    if lacking:
        raise DblogError(
            f"{archive.store.location}/{file.path}: it has columns that the table lacks: {', '.join(sorted(lacking))}; "
            "upgrade the tables with `dblog init`, or add them"
        )
    before = connection.scalar(verbatim(f"SELECT count(*) FROM {STAGED}"))
    with driver_of(connection).cursor() as cursor:
        rows = archive.rows(file)
        format_of(manifest.format).load(cursor, sql.Identifier(STAGED), manifest.columns, rows)
    found = connection.scalar(verbatim(f"SELECT count(*) FROM {STAGED}")) - before
    if found != manifest.rows:
        raise archive.damaged(file, f"it has {found} rows, by its manifest {manifest.rows}")
