"""Making, upgrading and removing the tables: Alembic without its global state, under a lock, in one transaction.

An application may run migrations of its own in another thread, so nothing here touches `alembic.op` or
`alembic.context`: every revision is handed the operations that it has to use.
"""

import io
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import sql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from dblog.columns import SCHEMA_REVISION
from dblog.errors import DatabaseError, NotMigrated
from dblog.faults import sqlstate_of
from dblog.fields import IndexProfile
from dblog.periods import PartitionBy, offsets_ahead
from dblog.store.engine import installed_revision, resolve_names, translate, use_utc, verbatim
from dblog.store.layout import Layout
from dblog.store.names import Names
from dblog.store.partitions import make_ahead

OLDEST_SERVER: Final = 15_00_00


def scripts() -> Path:
    """The folder of the migrations: inside the installed package, or beside it in the repository."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def upgrade(connection: sa.Connection, layout: Layout) -> bool:
    """Bring the tables to this release's revision; many processes may do so at once.

    Args:
        connection: A connection that is in no transaction.
        layout: The names, and for new tables the granularity and the index profile.

    Returns:
        True where something was changed, False where everything was there already.

    Raises:
        DatabaseError: The server is too old, or the role may not make the tables; says which right is missing.
        NotMigrated: The tables are of a revision that this release does not know.
    """
    names = layout.names
    with connection.begin():
        require_server(connection)
        if installed_revision(connection, names) == SCHEMA_REVISION:
            return False
        lock(connection, names.lock)
        found = installed_revision(connection, names)
        if found == SCHEMA_REVISION:
            return False
        require_schema(connection, names)
        try:
            with connection.begin_nested():
                _run(connection, layout, "head", found)
        except DBAPIError as error:
            if sqlstate_of(error) != "42501":
                raise
            lacking = "a right over what is there, or over something that they need (the server's log names it)"
            raise DatabaseError(_refused(connection, names, lacking)) from None
    return True


def downgrade(connection: sa.Connection, layout: Layout) -> None:
    """Remove the tables of one installation with all their records, and the note of their revision.

    Raises:
        NotMigrated: The tables are of a revision that this release does not know.
    """
    names = layout.names
    with connection.begin():
        lock(connection, names.lock)
        _run(connection, layout, "base", installed_revision(connection, names))
        drop_version_table(connection, names)


def prepare(
    connection: psycopg.Connection,
    *,
    schema: str | None,
    table_prefix: str,
    partition_by: PartitionBy,
    indexes: IndexProfile,
    partitions_ahead: int,
) -> None:
    """Make or upgrade the tables and the partitions ahead, on a connection that serves nothing else meanwhile.

    The connection must be in no transaction. It is left open and in autocommit mode; after an error, close it.

    Raises:
        Unreachable: The connection was lost.
        NotMigrated: The tables are of a revision that this release does not know.
        DatabaseError: The role may not make the tables, or PostgreSQL refused something else.
    """
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    try:
        connection.autocommit = True
        use_utc(connection)
        connection.autocommit = False
        with engine.connect() as wrapped:
            names = resolve_names(wrapped, schema, table_prefix)
            upgrade(wrapped, Layout(names, partition_by, indexes))
            make_ahead(wrapped, names, partitions_ahead)
        connection.autocommit = True
    except (DBAPIError, psycopg.Error) as error:
        raise translate(error, "the tables cannot be prepared") from None


def sql_script(layout: Layout, partitions_ahead: int) -> str:
    """The SQL that does the work of `upgrade` on an empty database, for whoever may run it."""
    names = layout.names
    out = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        opts={**context_options(layout, "head"), "as_sql": True, "literal_binds": True, "output_buffer": out},
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


def context_options(layout: Layout, destination: Literal["head", "base"]) -> dict[str, Any]:
    """What Alembic and the revisions have to be told about an installation and where it is to go."""
    script = ScriptDirectory(scripts())
    steps = script._upgrade_revs if destination == "head" else script._downgrade_revs
    return {
        "dblog": layout,
        "version_table": layout.names.version_table,
        "version_table_schema": layout.names.schema,
        "script": script,
        "fn": lambda heads, _context: steps(destination, heads),
    }


def require_server(connection: sa.Connection) -> str:
    """Make sure that the server is of a supported version; returns the version.

    Raises:
        DatabaseError: It is too old.
    """
    version = connection.scalar(sa.text("SHOW server_version"))
    if int(connection.scalar(sa.text("SHOW server_version_num"))) < OLDEST_SERVER:
        raise DatabaseError(f"PostgreSQL {version} is too old: dblog works with {OLDEST_SERVER // 10_000} and later")
    return str(version)


def require_schema(connection: sa.Connection, names: Names) -> None:
    """Make the schema where it is missing and the role may; make sure that the role may make tables in it.

    Raises:
        DatabaseError: The role lacks a right; the message names it.
    """
    lock(connection, f"dblog {names.schema}")  # CREATE SCHEMA IF NOT EXISTS alone loses a race with an error
    if not _exists(connection, names.schema):
        database = sa.func.current_database()
        if not connection.scalar(sa.select(sa.func.has_database_privilege(database, "CREATE"))):
            raise DatabaseError(_refused(connection, names, "CREATE on the database, to make that schema"))
        connection.execute(sa.schema.CreateSchema(names.schema))
    if not connection.scalar(sa.select(sa.func.has_schema_privilege(names.schema, "CREATE"))):
        raise DatabaseError(_refused(connection, names, "CREATE on that schema"))


def lock(connection: sa.Connection, name: str) -> None:
    """Wait until no other transaction makes tables or partitions under this name, and keep others out of it."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


def drop_version_table(connection: sa.Connection, names: Names) -> None:
    """Remove the table that Alembic leaves behind at the base."""
    sa.Table(names.version_table, sa.MetaData(schema=names.schema)).drop(connection, checkfirst=True)


def _run(connection: sa.Connection, layout: Layout, destination: Literal["head", "base"], found: str | None) -> None:
    options = context_options(layout, destination)
    try:
        options["script"].get_revisions(found or ())
    except CommandError:
        names = layout.names
        raise NotMigrated(
            f"the tables {names.prefix}_* in the schema {names.schema} have revision {found}, which this release "
            "of dblog does not know: use the release that made them, or a later one"
        ) from None
    context = MigrationContext.configure(connection, opts=options)
    context.run_migrations(operations=Operations(context))


def _exists(connection: sa.Connection, schema: str) -> bool:
    found = sa.text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")
    return bool(connection.scalar(found, {"schema": schema}))


def _refused(connection: sa.Connection, names: Names, right: str) -> str:
    role = connection.scalar(sa.text("SELECT current_user"))
    return (
        f"the role {role} cannot make the tables {names.prefix}_* in the schema {names.schema}: it lacks {right}. "
        "Grant it, or have somebody who may run the SQL that `dblog init --sql` prints"
    )
