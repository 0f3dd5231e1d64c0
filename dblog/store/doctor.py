"""Checks of the database and of the spool's folder, each with the command that mends what is wrong."""

import os
import shlex
import shutil
from collections.abc import Iterator

import sqlalchemy as sa

from dblog.checks import Check, State
from dblog.errors import DatabaseError, NotMigrated, Unreachable
from dblog.location import place
from dblog.settings import DatabaseSettings
from dblog.spooldir import NONE, resolve
from dblog.store.engine import connected, require_tables
from dblog.store.layout import layout_of
from dblog.store.migrate import require_server
from dblog.store.names import Names
from dblog.store.partitions import Partition, list_partitions, plan_ahead, server_now


def examine(settings: DatabaseSettings) -> tuple[Check, ...]:
    """Check the server, the tables, the rights of the role and the partitions.

    What cannot be checked because something before it failed is left out.
    """
    checks: list[Check] = []
    try:
        with connected(settings) as (connection, names):
            checks.append(Check("reachable", "ok", f"PostgreSQL at {place(settings.conninfo())}"))
            checks.extend(_examine(connection, names, settings.partitions_ahead))
    except Unreachable as error:
        checks.append(Check("reachable", "error", str(error), "start the server, or correct database.dsn"))
    except DatabaseError as error:
        checks.append(Check("usable", "error", str(error)))
    return tuple(checks)


def examine_spool(spool_dir: str) -> Check:
    """Check the folder in which records wait while the database is away, as the user who asks may use it.

    Args:
        spool_dir: The setting: a path, `auto` or `none`.
    """
    folder = resolve(spool_dir)
    if folder is None:
        state: State = "ok" if spool_dir == NONE else "warning"
        remedy = None if spool_dir == NONE else "set logging.database.spool_dir to a path"
        return Check("spool", state, "none: records wait in memory only", remedy)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check("spool", "error", f"{there} is no folder that this user may write to", "correct spool_dir")
    free = shutil.disk_usage(there).free
    return Check("spool", "ok", f"{folder}, {free / 1e9:,.1f} GB free")


def _examine(connection: sa.Connection, names: Names, ahead: int) -> Iterator[Check]:
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
    yield from _rights(connection, names)
    partitions = list_partitions(connection, names)
    granularity = layout_of(connection, names).partition_by
    missing = plan_ahead(partitions, server_now(connection), granularity, ahead)
    yield from _partitions(names, partitions, len(missing))


def _rights(connection: sa.Connection, names: Names) -> Iterator[Check]:
    tables = f"{names.qualified(names.logs)}, {names.qualified(names.batches)}"
    function = f"FUNCTION {names.qualified(names.make_partition)}(timestamptz)"
    may = connection.execute(
        _RIGHTS,
        {
            "logs": names.qualified(names.logs),
            "batches": names.qualified(names.batches),
            "function": function.removeprefix("FUNCTION "),
        },
    ).one()
    yield _right(may.role, may.insert, "write", f"INSERT ON {tables}", "warning" if may.select else "error")
    yield _right(may.role, may.select, "read", f"SELECT ON {tables}", "warning")
    missing: State = "error" if may.insert else "warning"
    yield _right(may.role, may.execute, "make partitions", f"EXECUTE ON {function}", missing)


_RIGHTS = sa.text(
    """
    SELECT quote_ident(current_user) AS role,
           has_table_privilege(:logs, 'INSERT') AND has_table_privilege(:batches, 'INSERT') AS insert,
           has_table_privilege(:logs, 'SELECT') AND has_table_privilege(:batches, 'SELECT') AS select,
           has_function_privilege(:function, 'EXECUTE') AS execute
    """
)


def _right(role: str, granted: bool, to: str, right: str, otherwise: State) -> Check:
    if granted:
        return Check(f"may {to}", "ok", f"the role {role} may {to}")
    return Check(f"may {to}", otherwise, f"the role {role} may not {to}", _psql(f"GRANT {right} TO {role}"))


def _psql(statement: str) -> str:
    return f"psql -c {shlex.quote(statement)}"


def _partitions(names: Names, partitions: tuple[Partition, ...], missing: int) -> Iterator[Check]:
    if missing:
        yield Check("partitions ahead", "warning", f"{missing} are missing", "dblog init")
    else:
        yield Check("partitions ahead", "ok", f"{sum(part.table == 'logs' for part in partitions)} partitions")
    for part in partitions:
        parent = names.qualified(names.of(part.table))
        if part.default:
            remedy = _psql(f"ALTER TABLE {parent} DETACH PARTITION {names.qualified(part.name)}")
            yield Check("default partition", "warning", f"{part.name} keeps old partitions from going", remedy)
        if part.detaching:
            yield Check("detaching", "warning", f"{part.name} is half detached", "dblog prune")
