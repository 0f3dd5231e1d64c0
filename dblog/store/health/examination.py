"""All checks of the database, in the order in which one depends on another."""

from collections.abc import Iterator

import sqlalchemy as sa

from dblog.checks import Check
from dblog.errors import DatabaseError, NotMigrated, Unreachable
from dblog.location import place
from dblog.settings import Settings
from dblog.store.engine import connected, require_tables
from dblog.store.health.care import check_care
from dblog.store.health.clocks import check_clocks
from dblog.store.health.indexes import check_indexes
from dblog.store.health.partitions import check_partitions
from dblog.store.health.retention import check_retention
from dblog.store.health.rights import check_ownership, check_rights
from dblog.store.health.subject import Subject
from dblog.store.layout import layout_of
from dblog.store.marks import leftovers
from dblog.store.migrate import require_server
from dblog.store.names import Names
from dblog.store.partitions import list_partitions, server_now


def examine(settings: Settings) -> tuple[Check, ...]:
    """Check the server, the tables, the rights of the role, the partitions and how they are kept.

    What cannot be checked because something before it failed, or because the role may not look at it, is left out.
    """
    checks: list[Check] = []
    database = settings.database
    try:
        with connected(database) as (connection, names):
            checks.append(Check("reachable", "ok", f"PostgreSQL at {place(database.conninfo())}"))
            checks.extend(_examine(connection, names, settings))
    except Unreachable as error:
        checks.append(Check("reachable", "error", str(error), "start the server, or correct database.dsn"))
    except DatabaseError as error:
        checks.append(Check("usable", "error", str(error)))
    return tuple(checks)


def _examine(connection: sa.Connection, names: Names, settings: Settings) -> Iterator[Check]:
    try:
        version = require_server(connection)
    except DatabaseError as error:
        yield Check("version", "error", str(error), "upgrade the server")
        return
    yield Check("version", "ok", f"PostgreSQL {version}")
    try:
        require_tables(connection, names)
    except NotMigrated as error:
        yield Check("migrated", "error", str(error), "dblog init")
        return
    yield Check("migrated", "ok", f"{names.prefix}_* in the schema {names.schema}")
    subject = _look(connection, names, settings)
    yield from check_rights(subject)
    yield from check_ownership(subject)
    yield from check_partitions(subject)
    yield from check_retention(subject)
    yield from check_care(subject)
    yield from check_indexes(subject)
    yield from check_clocks(subject)


def _look(connection: sa.Connection, names: Names, settings: Settings) -> Subject:
    layout = layout_of(connection, names)
    who = sa.text("SELECT quote_ident(current_user), has_table_privilege(:logs, 'SELECT')")
    role, may_read = connection.execute(who, {"logs": names.qualified(names.logs)}).one()
    return Subject(
        connection=connection,
        names=names,
        settings=settings,
        partition_by=layout.partition_by,
        indexes=layout.indexes,
        partitions=list_partitions(connection, names),
        leftovers=leftovers(connection, names),
        now=server_now(connection),
        role=role,
        may_read=may_read,
    )
