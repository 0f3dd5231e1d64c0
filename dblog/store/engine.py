"""Connections of the reading and keeping side, and errors of the driver turned into one clear line."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from dblog import defaults
from dblog.columns import SCHEMA_REVISION
from dblog.errors import DatabaseError, NotMigrated, Unreachable
from dblog.faults import describe, sqlstate_of
from dblog.location import place
from dblog.settings import DatabaseSettings
from dblog.store.names import Names

_MISSING = ("42P01", "42883", "3F000")


def open_engine(settings: DatabaseSettings, *, application_name: str) -> sa.Engine:
    """Make an engine without a pool whose sessions speak UTC and ISO dates."""
    conninfo = settings.conninfo()

    def connect() -> psycopg.Connection:
        connection = psycopg.connect(
            conninfo,
            connect_timeout=max(2, round(settings.connect_timeout)),
            fallback_application_name=application_name,
            prepare_threshold=None,
            autocommit=True,
        )
        use_utc(connection)
        connection.autocommit = False
        return connection

    return sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)


def use_utc(connection: psycopg.Connection) -> None:
    """Let the session show and read times in UTC and in ISO form, as the bounds of partitions are to be read."""
    connection.execute("SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO', false)")


@contextmanager
def connected(settings: DatabaseSettings) -> Iterator[tuple[sa.Connection, Names]]:
    """Connect, whether or not the tables are there.

    Raises:
        Unreachable: There is no connection, or it was lost.
        DatabaseError: PostgreSQL refused a statement, or has no schema to work in; where the role lacks a right that
            the owner of the tables has, says who that is.
    """
    with clear_errors(settings):
        engine = open_engine(settings, application_name="dblog")
        with engine.connect() as connection:
            names = resolve_names(connection, settings.schema_name, settings.table_prefix)
            try:
                yield connection, names
            except DBAPIError as error:
                ownership = _ownership(connection, names) if sqlstate_of(error) == "42501" else None
                if ownership is None:
                    raise
                where = f"PostgreSQL at {place(settings.conninfo())}"
                raise DatabaseError(f"{where}: {describe(error)}: {ownership}") from None


def _ownership(connection: sa.Connection, names: Names) -> str | None:
    """Who owns the tables, where the role is no member of it; ends the transaction."""
    connection.rollback()
    row = connection.execute(_OWNER, {"schema": names.schema, "logs": names.logs}).one_or_none()
    if row is None:
        return None
    return f"{row.role} has no right to this; the tables {names.prefix}_* belong to {row.owner}"


_OWNER = sa.text(
    """
    SELECT pg_get_userbyid(relowner) AS owner, current_user AS role
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE nspname = :schema AND relname = :logs AND NOT pg_has_role(relowner, 'USAGE')
    """
)


@contextmanager
def keeping(settings: DatabaseSettings) -> Iterator[tuple[sa.Connection, Names]]:
    """Connect to change what is kept; the tables must be there.

    Raises:
        NotMigrated: The tables are missing or of another version.
        DatabaseError: As `connected`.
    """
    with connected(settings) as (connection, names):
        require_tables(connection, names)
        yield connection, names


@contextmanager
def reading(
    settings: DatabaseSettings, *, statement_timeout: float = defaults.STATEMENT_TIMEOUT
) -> Iterator[tuple[sa.Connection, Names]]:
    """Connect to read only; every statement may run for `statement_timeout` seconds.

    Raises:
        NotMigrated: The tables are missing or of another version.
        DatabaseError: As `connected`.
    """
    with keeping(settings) as (connection, names):
        readonly = connection.execution_options(postgresql_readonly=True)
        timeout = f"{round(statement_timeout * 1000)}ms"
        readonly.execute(sa.select(sa.func.set_config("statement_timeout", timeout, False)))
        readonly.commit()
        yield readonly, names


def verbatim(statement: str) -> sa.TextClause:
    """A statement with quoted identifiers and without parameters, in which a colon means nothing."""
    return sa.text(statement.replace(":", "\\:"))


def resolve_names(connection: sa.Connection, schema: str | None, prefix: str) -> Names:
    """The names for a schema, or for the first schema of the role's search_path; ends the transaction.

    Raises:
        DatabaseError: No schema of the search_path exists.
    """
    found = schema or connection.scalar(sa.select(sa.func.current_schema()))
    connection.rollback()
    if not found:
        raise DatabaseError("no schema of the role's search_path exists: create one, or set database.schema")
    return Names(found, prefix)


def installed_revision(connection: sa.Connection, names: Names) -> str | None:
    """The revision of the tables; None where there are none.

    Raises:
        DatabaseError: The role may not look into the schema.
    """
    lacking = connection.scalar(_WITHOUT_USAGE, {"schema": names.schema})
    if lacking:
        raise DatabaseError(
            f"the role {lacking} lacks USAGE on the schema {names.schema}: grant it; what else a role needs is at the "
            "end of what `dblog init --sql` prints"
        )
    version = names.qualified(names.version_table)
    if connection.scalar(sa.select(sa.func.to_regclass(version))) is None:
        return None
    table = sa.table(names.version_table, sa.column("version_num", sa.Text), schema=names.schema)
    return connection.scalar(sa.select(table.c.version_num))


_WITHOUT_USAGE = sa.text(
    "SELECT current_user FROM pg_namespace WHERE nspname = :schema AND NOT has_schema_privilege(oid, 'USAGE')"
)


def holders(connection: sa.Connection, *tables: str) -> tuple[int, ...]:
    """The server processes of others that hold a lock on one of the tables, or on one of their partitions."""
    return tuple(connection.execute(_HOLDERS, {"tables": list(tables)}).scalars())


_HOLDERS = sa.text(
    """
    SELECT DISTINCT pid FROM pg_locks
    WHERE granted AND pid <> pg_backend_pid()
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation IN (
          SELECT tree.relid FROM unnest(CAST(:tables AS text[])) AS named, pg_partition_tree(to_regclass(named)) AS tree
      )
    ORDER BY pid
    """
)


def require_tables(connection: sa.Connection, names: Names) -> None:
    """Make sure that the tables are there and of the version that this release works with; ends the transaction.

    Raises:
        NotMigrated: They are not.
    """
    found = installed_revision(connection, names)
    connection.rollback()
    if found is None:
        raise NotMigrated(f"there are no tables {names.prefix}_* in the schema {names.schema}: run `dblog init`")
    if found != SCHEMA_REVISION:
        raise NotMigrated(
            f"the tables {names.prefix}_* in the schema {names.schema} have revision {found}, this release of dblog "
            f"works with {SCHEMA_REVISION}: run `dblog init`, or use the release that made them"
        )


@contextmanager
def clear_errors(settings: DatabaseSettings) -> Iterator[None]:
    """Turn errors of the driver into errors of dblog that say where and what, without the driver's text."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        raise translate(error, f"PostgreSQL at {place(settings.conninfo())}") from None


def translate(error: DBAPIError | psycopg.Error, where: str) -> DatabaseError:
    """The error of dblog that stands for an error of the driver."""
    state = sqlstate_of(error)
    line = f"{where}: {describe(error)}"
    if state in _MISSING:
        return NotMigrated(line)
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or state is None or state.startswith(("08", "28", "3D", "53", "57P")):
        return Unreachable(line)
    return DatabaseError(line)
