"""Making, upgrading and removing the tables: Alembic without its global state, each step a transaction under a lock.

An application may run migrations of its own in another thread, so nothing here touches `alembic.op` or
`alembic.context`: every revision is handed the operations that it has to use.
"""

from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool
from tenacity import wait_random

from dblog.columns import SCHEMA_REVISION, takes_records
from dblog.errors import DatabaseError, NotMigrated
from dblog.faults import sqlstate_of
from dblog.fields import IndexProfile
from dblog.periods import PartitionBy
from dblog.store.engine import holders, installed_revision, resolve_names, translate, use_utc
from dblog.store.layout import Layout
from dblog.store.locks import is_lock_timeout, patient
from dblog.store.names import Names
from dblog.store.partitions import make_ahead

Destination = Literal["head", "+1", "base"]

OLDEST_SERVER: Final = 15_00_00

ATTEMPTS: Final = 30
"""How often a step is tried that needs a table for itself: about a minute."""

HASTY_ATTEMPTS: Final = 2
"""How often at most while records wait for it."""


def scripts() -> Path:
    """The folder of the migrations: inside the installed package, or beside it in the repository."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def upgrade(connection: sa.Connection, layout: Layout, *, attempts: int = ATTEMPTS) -> bool:
    """Bring the tables to this release's revision, a revision at a time; many processes may do so at once.

    A revision that needs a table for itself gives up after a second, because writers queue behind it, and is tried
    again after a pause in which they catch up.

    Args:
        connection: A connection that is in no transaction.
        layout: The names, and for new tables the granularity and the index profile.
        attempts: How often each revision is tried.

    Returns:
        True where something was changed, False where everything was there already.

    Raises:
        DatabaseError: The server is too old, the role may not make the tables, or others never let go of them; says
            which right is missing, or who they are.
        NotMigrated: The tables are of a revision that this release does not know.
    """
    with connection.begin():
        require_server(connection)
    step_by_step = patient(attempts, wait_random(0.5, 1.5))
    changed = False
    try:
        while step_by_step(_take_step, connection, layout):
            changed = True
    except DBAPIError as error:
        if not is_lock_timeout(error):
            raise
        raise DatabaseError(_busy(connection, layout.names)) from None
    return changed


def _take_step(connection: sa.Connection, layout: Layout) -> bool:
    """Upgrade by one revision, wholly or not at all; False where there is nothing to do."""
    names = layout.names
    with connection.begin():
        if installed_revision(connection, names) == SCHEMA_REVISION:
            return False
        lock(connection, names.lock)
        found = installed_revision(connection, names)
        if found == SCHEMA_REVISION:
            return False
        require_schema(connection, names)
        try:
            with connection.begin_nested():
                _run(connection, layout, "+1", found)
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

    Tables of an older revision that takes records as well stay as they are where they cannot be upgraded within
    seconds: the next connection, or `dblog init`, tries again. The connection must be in no transaction. It is left
    open and in autocommit mode; after an error, close it.

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
            _upgrade_soon(wrapped, Layout(names, partition_by, indexes))
            make_ahead(wrapped, names, partitions_ahead)
        connection.autocommit = True
    except (DBAPIError, psycopg.Error) as error:
        raise translate(error, "the tables cannot be prepared") from None


def _upgrade_soon(connection: sa.Connection, layout: Layout) -> None:
    try:
        upgrade(connection, layout, attempts=HASTY_ATTEMPTS)
    except DatabaseError:
        with connection.begin():
            found = installed_revision(connection, layout.names)
        if found is None or found > SCHEMA_REVISION or not takes_records(found, oldest_writer=None):
            raise


def context_options(layout: Layout, destination: Destination) -> dict[str, Any]:
    """What Alembic and the revisions have to be told about an installation and where it is to go."""
    script = ScriptDirectory(scripts())
    steps = script._downgrade_revs if destination == "base" else script._upgrade_revs
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


def _run(connection: sa.Connection, layout: Layout, destination: Destination, found: str | None) -> None:
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


def _busy(connection: sa.Connection, names: Names) -> str:
    tables = (names.qualified(names.logs), names.qualified(names.batches))
    with connection.begin():
        pids = ", ".join(map(str, holders(connection, *tables)))
    return (
        f"the tables {names.prefix}_* in the schema {names.schema} cannot be upgraded while others use them without a "
        f"pause (server processes: {pids or 'gone by now'}): run `dblog init` again when their transactions are over"
    )


def _refused(connection: sa.Connection, names: Names, right: str) -> str:
    role = connection.scalar(sa.text("SELECT current_user"))
    return (
        f"the role {role} cannot make the tables {names.prefix}_* in the schema {names.schema}: it lacks {right}. "
        "Grant it, or have somebody who may run the SQL that `dblog init --sql` prints"
    )
