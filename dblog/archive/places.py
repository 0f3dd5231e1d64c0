"""Partitions for rows that come back, however old they are."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa
from psycopg import sql
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from dblog import defaults
from dblog.archive.relation import midnight
from dblog.errors import DblogError
from dblog.store.beyond import become_owner
from dblog.store.engine import verbatim
from dblog.store.names import Names
from dblog.store.partitions import (
    LOCK_ATTEMPTS,
    Partition,
    is_lock_timeout,
    list_partitions,
    make_partition,
    server_now,
)

_LATEST: Final = timedelta(days=defaults.FUTURE_WINDOW_DAYS)
_OLDEST: Final = timedelta(days=400)


def make_room(connection: sa.Connection, names: Names, first: datetime, last: datetime) -> Iterator[Partition]:
    """Make the partitions from one moment to another where they are missing, and tell of each that is there then.

    Works like every making of partitions: writers and readers pass.

    Raises:
        DblogError: A partition among them is being detached.
    """
    moment: datetime | None = first
    while moment is not None and moment <= last:
        found = _holder(connection, names, moment)
        if found is None:
            _make(connection, names, moment)
            found = _holder(connection, names, moment)
        if found is None or found.detaching:
            raise DblogError(
                f"the partition for {moment:%Y-%m-%d %H:%M} UTC is being detached: run `dblog prune` first"
            )
        yield found
        moment = found.end


def _holder(connection: sa.Connection, names: Names, moment: datetime) -> Partition | None:
    parts = _partitions(connection, names)
    return next((part for part in parts if part.holds(moment)), None)


def _partitions(connection: sa.Connection, names: Names) -> list[Partition]:
    with connection.begin():
        return [part for part in list_partitions(connection, names) if part.table == "logs"]


def _make(connection: sa.Connection, names: Names, moment: datetime) -> None:
    with connection.begin():
        now = server_now(connection)
    if now - _OLDEST < moment < now + _LATEST:
        make_partition(connection, names, moment)
        return
    retrying = Retrying(
        retry=retry_if_exception(is_lock_timeout),
        stop=stop_after_attempt(LOCK_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.1, max=1),
        reraise=True,
    )
    retrying(_make_day, connection, names, moment)


def _make_day(connection: sa.Connection, names: Names, moment: datetime) -> None:
    """Make a partition that the function would refuse to make, because no writer needs one so far from now."""
    since = midnight(moment.astimezone(UTC).date())
    until = since + timedelta(days=1)
    with connection.begin():
        become_owner(connection, names)
        connection.execute(sa.select(sa.func.set_config("lock_timeout", "2s", True)))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(names.lock, 0))))
        others = [part for part in list_partitions(connection, names) if part.table == "logs"]
        if any(part.holds(moment) for part in others):
            return
        since = max((since, *(part.end for part in others if part.end is not None and part.end <= moment)))
        until = min((until, *(part.start for part in others if part.start is not None and part.start > moment)))
        child = names.qualified(_free_name(connection, names, since))
        parent = names.qualified(names.logs)
        mark = connection.scalar(sa.select(sa.func.format("dblog partition of %I.%I", names.schema, names.logs)))
        quoted = sql.Literal(mark).as_string(None)
        connection.execute(verbatim(f"CREATE TABLE {child} (LIKE {parent} INCLUDING ALL EXCLUDING IDENTITY)"))
        connection.execute(verbatim(f"COMMENT ON TABLE {child} IS {quoted}"))
        bounds = f"FROM ('{since.isoformat()}') TO ('{until.isoformat()}')"
        connection.execute(verbatim(f"ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES {bounds}"))


def _free_name(connection: sa.Connection, names: Names, since: datetime) -> str:
    stem = name = f"{names.logs}_p{since:%Y%m%d}"
    copies = 1
    while connection.scalar(sa.select(sa.func.to_regclass(names.qualified(name)))) is not None:
        copies += 1
        name = f"{stem}_{copies}"
    return name
