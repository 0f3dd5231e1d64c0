"""Partitions for rows that come back, however old they are."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from dblog import defaults
from dblog.errors import DblogError
from dblog.store.beyond import make_old_partition
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
_OLDEST: Final = timedelta(days=defaults.PAST_WINDOW_DAYS)


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
    with connection.begin():
        make_old_partition(connection, names, moment, "day")
