"""What closed partitions deserve, once: frozen rows, a map of pages that index-only scans trust, and statistics.

That it was done stands in the comment of the partition, and so is gone with it. Rows that come or go later undo it.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from dblog.faults import sqlstate_of
from dblog.store.engine import verbatim
from dblog.store.locks import is_lock_timeout
from dblog.store.names import Names
from dblog.store.partitions import Partition, list_partitions

CLOSED_AFTER: Final = timedelta(hours=1)
"""How long after the end of a partition no more rows are expected."""

FROZEN: Final = ", frozen"
"""How the comment of a partition goes on that was looked after."""

LOCK_TIMEOUT: Final = "1s"

PAUSE: Final = "2ms"
"""How long VACUUM sleeps again and again, as the server's own does, so that it leaves the disk to the writers."""


def due(partitions: Iterable[Partition], now: datetime) -> tuple[Partition, ...]:
    """Choose the closed partitions of dblog's own making that nobody looked after yet, the newest first."""
    closed = (
        (part.end, part)
        for part in partitions
        if part.ours and not part.detaching and not part.settled and part.end is not None
    )
    found = [(end, part) for end, part in closed if end <= now - CLOSED_AFTER]
    return tuple(part for _, part in sorted(found, key=lambda pair: pair[0], reverse=True))


def look_after(connection: sa.Connection, names: Names, now: datetime) -> Iterator[str]:
    """Freeze and analyze what was closed, a partition at a time, and tell the name of each that is done.

    Only locks that let rows be added, read and removed are taken. What is locked by others, or dropped meanwhile, is
    left to the next run, and so is the note about rows that an old transaction still keeps from being frozen.

    Args:
        connection: In no transaction; the work is done on another connection, because VACUUM cannot be part of one.
        names: The tables.
        now: The time by the clock of the server.

    Raises:
        sqlalchemy.exc.DBAPIError: PostgreSQL refused it; the role has to own the tables.
    """
    with connection.begin():
        partitions = due(list_partitions(connection, names), now.astimezone(UTC))
    if not partitions:
        return
    with connection.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as own:
        own.execute(_LIMITS, {"lock_timeout": LOCK_TIMEOUT, "pause": PAUSE})
        for part in partitions:
            try:
                own.execute(verbatim(f"VACUUM (FREEZE, ANALYZE, TRUNCATE FALSE) {names.qualified(part.name)}"))
                _note(connection, names, part)
            except DBAPIError as error:
                if not (is_lock_timeout(error) or sqlstate_of(error) == _DROPPED):
                    raise
            else:
                yield part.name


_DROPPED: Final = "42P01"

_LIMITS = sa.text(
    "SELECT set_config('lock_timeout', :lock_timeout, false), set_config('vacuum_cost_delay', :pause, false)"
)

_STATE = sa.text(
    """
    SELECT relallvisible >= relpages AND obj_description(oid, 'pg_class') = :comment AS complete
    FROM pg_class WHERE oid = to_regclass(:name)
    """
)


def _note(connection: sa.Connection, names: Names, part: Partition) -> None:
    """Note that it is done, unless something is left to do, or another process found that it has expired."""
    name = names.qualified(part.name)
    with connection.begin():
        connection.execute(sa.select(sa.func.set_config("lock_timeout", LOCK_TIMEOUT, True)))
        connection.execute(verbatim(f"LOCK TABLE {name} IN SHARE UPDATE EXCLUSIVE MODE"))  # what COMMENT takes
        text = sa.func.format("dblog partition of %I.%I", names.schema, names.of(part.table))
        comment = str(connection.scalar(sa.select(text)))
        if connection.scalar(_STATE, {"name": name, "comment": comment}):
            frozen = sql.Literal(comment + FROZEN).as_string(None)
            connection.execute(verbatim(f"COMMENT ON TABLE {name} IS {frozen}"))
