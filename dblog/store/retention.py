"""Retention: whole partitions are detached without blocking anybody, then dropped.

A partition is marked as expired before it is detached, so that what an interrupted run leaves behind can be told from
a table that somebody detached in order to keep it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from dblog import defaults
from dblog.errors import DblogError
from dblog.store.engine import verbatim
from dblog.store.names import Names
from dblog.store.partitions import Partition, is_lock_timeout, list_partitions, server_now

DETACH_TIMEOUT: Final = "10s"
"""A waiting DETACH CONCURRENTLY lets everybody pass, so it may wait for the queries that still read the partition."""

FINALIZE_TIMEOUT: Final = "300ms"
"""A waiting FINALIZE keeps everybody out of the parent, so it may wait only for a moment, and tries again."""

FINALIZE_ATTEMPTS: Final = 10

EXPIRED: Final = ", expired"
"""What is put behind the mark of a partition before it is detached."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """What a run of the retention has to do."""

    due: tuple[Partition, ...]
    """Partitions whose last moment is older than the retention."""
    pending: tuple[Partition, ...]
    """Partitions, due or not, whose detaching was begun and stands in the way of every other."""
    leftovers: tuple[str, ...]
    """Expired tables that were detached and not dropped."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of one table."""

    name: str
    action: Literal["dropped", "detached", "waiting"]
    rows: int = 0
    """The planner's estimate."""
    size: int = 0
    """Bytes on disk, with indexes."""
    blockers: tuple[int, ...] = ()
    """For `waiting`: the server processes in the way; the next run finishes the work."""


def plan(partitions: Iterable[Partition], now: datetime, retention_days: int) -> tuple[Partition, ...]:
    """Choose the partitions of dblog's own making whose last moment is older than the retention.

    The ledger is kept for `LEDGER_KEEP_DAYS`, as long as an undelivered batch may still come.
    """
    keep = {
        "logs": timedelta(days=retention_days),
        "batches": timedelta(days=defaults.LEDGER_KEEP_DAYS),
    }
    return tuple(
        part
        for part in partitions
        if part.ours and part.end is not None and part.end <= now - keep[part.table]
    )


def refuse_mass_removal(partitions: Iterable[Partition], due: Iterable[Partition]) -> None:
    """Stop where more than half of the records' partitions would go: a clock or a number is probably wrong.

    Raises:
        DblogError: More than two, and more than half of them, are due.
    """
    total = sum(part.table == "logs" for part in partitions)
    going = sum(part.table == "logs" for part in due)
    if going > 2 and going * 2 > total:
        raise DblogError(
            f"{going} of {total} partitions would be dropped: check the retention and the server's clock, and use "
            "--force where both are right"
        )


def find_expired(connection: sa.Connection, names: Names, retention_days: int, *, force: bool = False) -> Expiry:
    """Find what is to go, by the clock of the server.

    Raises:
        DblogError: More than half of the partitions are due and `force` is not given.
    """
    with connection.begin():
        partitions = list_partitions(connection, names)
        due = plan(partitions, server_now(connection), retention_days)
        if not force:
            refuse_mass_removal(partitions, due)
        return Expiry(
            due=tuple(part for part in due if not part.detaching),
            pending=tuple(part for part in partitions if part.detaching),
            leftovers=_leftovers(connection, names),
        )


def prune(connection: sa.Connection, names: Names, expiry: Expiry) -> Iterator[Removal]:
    """Drop what has expired, one table after the other, and tell of each; nobody is kept waiting.

    The connection is in autocommit mode afterwards.

    Raises:
        DblogError: Another process is pruning these tables.
    """
    connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    with _alone(connection, names):
        stuck: dict[str, tuple[int, ...]] = {}
        for part in expiry.pending:
            removal = _finalize(connection, names, part)
            if removal.action == "waiting":
                stuck[part.table] = removal.blockers
            yield removal
        for name in _leftovers(connection, names):
            yield _drop(connection, names, name)
        for part in expiry.due:
            if part.table in stuck:  # a table can have one pending detach only
                yield Removal(part.name, "waiting", part.rows, part.size, stuck[part.table])
                continue
            removal = _detach(connection, names, part)
            if removal.action == "waiting":
                stuck[part.table] = removal.blockers
            yield removal


def _detach(connection: sa.Connection, names: Names, part: Partition) -> Removal:
    parent, child = _parent(names, part), names.qualified(part.name)
    mark = sql.Literal(_mark(connection, names, part.table)).as_string(None)
    _lock_timeout(connection, DETACH_TIMEOUT)
    try:
        connection.execute(verbatim(f"COMMENT ON TABLE {child} IS {mark}"))
        connection.execute(verbatim(f"ALTER TABLE {parent} DETACH PARTITION {child} CONCURRENTLY"))
    except DBAPIError as error:
        return _waiting(connection, error, part, parent, child)
    return _drop(connection, names, part.name, part.rows, part.size)


def _finalize(connection: sa.Connection, names: Names, part: Partition) -> Removal:
    parent, child = _parent(names, part), names.qualified(part.name)
    _lock_timeout(connection, FINALIZE_TIMEOUT)
    try:
        for attempt in Retrying(
            retry=retry_if_exception(is_lock_timeout),
            stop=stop_after_attempt(FINALIZE_ATTEMPTS),
            wait=wait_random(0.1, 0.5),
            reraise=True,
        ):
            with attempt:
                connection.execute(verbatim(f"ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE"))
    except DBAPIError as error:
        return _waiting(connection, error, part, parent, child)
    return Removal(part.name, "detached", part.rows, part.size)


def _drop(connection: sa.Connection, names: Names, name: str, rows: int = 0, size: int = 0) -> Removal:
    child = names.qualified(name)
    _lock_timeout(connection, DETACH_TIMEOUT)
    try:
        connection.execute(verbatim(f"DROP TABLE {child}"))
    except DBAPIError as error:
        if not is_lock_timeout(error):
            raise
        return Removal(name, "waiting", rows, size, _blockers(connection, child))
    return Removal(name, "dropped", rows, size)


def _waiting(connection: sa.Connection, error: DBAPIError, part: Partition, *tables: str) -> Removal:
    if not is_lock_timeout(error):
        raise error
    return Removal(part.name, "waiting", part.rows, part.size, _blockers(connection, *tables))


def _blockers(connection: sa.Connection, *tables: str) -> tuple[int, ...]:
    """Who holds a lock on one of the tables; if nobody does, who holds a snapshot."""
    pids = connection.execute(
        sa.text(
            "SELECT DISTINCT pid FROM pg_locks JOIN unnest(CAST(:tables AS text[])) AS t ON relation = to_regclass(t) "
            "WHERE granted AND pid <> pg_backend_pid()"
        ),
        {"tables": list(tables)},
    ).scalars()
    holders = tuple(pids)
    if holders:
        return holders
    return tuple(
        connection.execute(
            sa.text(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_xmin IS NOT NULL "
                "AND pid <> pg_backend_pid()"
            )
        ).scalars()
    )


def _leftovers(connection: sa.Connection, names: Names) -> tuple[str, ...]:
    marks = [_mark(connection, names, table) for table in ("logs", "batches")]
    found = connection.execute(
        sa.text(
            "SELECT relname FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind = 'r' "
            "AND NOT relispartition AND obj_description(oid, 'pg_class') = ANY (:marks) ORDER BY relname"
        ),
        {"schema": sql.Identifier(names.schema).as_string(None), "marks": marks},
    )
    return tuple(found.scalars())


def _mark(connection: sa.Connection, names: Names, table: str) -> str:
    """The comment of an expired partition: the server quotes the parent's name as `make_partition` did."""
    parent = names.logs if table == "logs" else names.batches
    quoted = connection.scalar(sa.select(sa.func.format("dblog partition of %I.%I", names.schema, parent)))
    return f"{quoted}{EXPIRED}"


def _parent(names: Names, part: Partition) -> str:
    return names.qualified(names.logs if part.table == "logs" else names.batches)


def _lock_timeout(connection: sa.Connection, value: str) -> None:
    connection.execute(sa.select(sa.func.set_config("lock_timeout", value, False)))


@contextmanager
def _alone(connection: sa.Connection, names: Names) -> Iterator[None]:
    key = sa.func.hashtextextended(f"prune {names.lock}", 0)
    if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
        raise DblogError(f"another process is pruning the tables {names.prefix}_* in the schema {names.schema}")
    try:
        yield
    finally:
        connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
