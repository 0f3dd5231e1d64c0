"""Retention: whole partitions are detached without blocking anybody, then dropped.

A partition is marked as expired before it is detached, so that what an interrupted run leaves behind can be told from
a table that somebody detached in order to keep it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from dblog import defaults
from dblog.errors import DblogError
from dblog.store.engine import verbatim
from dblog.store.horizons import record_horizon
from dblog.store.names import Names, Table
from dblog.store.partitions import Partition, is_lock_timeout, list_partitions, server_now

LOCK_TIMEOUT: Final = "10s"
"""A waiting DETACH CONCURRENTLY lets everybody pass, so it may wait for the queries that still read the partition."""

FINALIZE_TIMEOUT: Final = "300ms"
"""A waiting FINALIZE keeps everybody out of the parent, so it may wait only for a moment, and tries again."""

FINALIZE_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class Expiry:
    """What the retention has to do."""

    due: tuple[Partition, ...]
    """Partitions whose last moment is older than the retention."""
    pending: tuple[Partition, ...]
    """Partitions, due or not, whose detaching was begun and stands in the way of every other."""
    leftovers: tuple[str, ...]
    """Expired tables that were detached and not dropped."""
    excessive: bool
    """Whether more than two and more than half of the records' partitions are due: a clock or a number may be wrong."""

    def __len__(self) -> int:
        """The number of tables to deal with."""
        return len(self.due) + len(self.pending) + len(self.leftovers)


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of one table, or would."""

    name: str
    action: Literal["would drop", "would detach", "dropped", "detached", "waiting"]
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
    keep = {"logs": timedelta(days=retention_days), "batches": timedelta(days=defaults.LEDGER_KEEP_DAYS)}
    return tuple(
        part for part in partitions if part.ours and part.end is not None and part.end <= now - keep[part.table]
    )


def is_excessive(partitions: Iterable[Partition], due: Iterable[Partition]) -> bool:
    """Whether more than two, and more than half, of the records' partitions would go."""
    total = sum(part.table == "logs" for part in partitions)
    going = sum(part.table == "logs" for part in due)
    return going > 2 and going * 2 > total


def find_expired(connection: sa.Connection, names: Names, retention_days: int) -> Expiry:
    """Find what is to go, by the clock of the server."""
    with connection.begin():
        partitions = list_partitions(connection, names)
        due = plan(partitions, server_now(connection), retention_days)
        return Expiry(
            due=tuple(part for part in due if not part.detaching),
            pending=tuple(part for part in partitions if part.detaching),
            leftovers=_leftovers(connection, names),
            excessive=is_excessive(partitions, due),
        )


def planned(expiry: Expiry) -> tuple[Removal, ...]:
    """What `prune` would do."""
    return (
        *(Removal(part.name, "would detach", part.rows, part.size) for part in expiry.pending),
        *(Removal(name, "would drop") for name in expiry.leftovers),
        *(Removal(part.name, "would drop", part.rows, part.size) for part in expiry.due),
    )


def prune(connection: sa.Connection, names: Names, expiry: Expiry, *, force: bool = False) -> Iterator[Removal]:
    """Drop what has expired, one table after the other, and tell of each; nobody is kept waiting.

    Works on a connection of its own, because DETACH CONCURRENTLY cannot be part of a transaction.

    Raises:
        DblogError: More than half of the partitions would go and `force` is not given, or another process is pruning.
    """
    if expiry.excessive and not force:
        raise DblogError(
            "more than half of the partitions would go: check the retention and the server's clock, and use --force "
            "where both are right"
        )
    with connection.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as own, _alone(own, names):
        yield from _Pruning(own, names).run(expiry)


class _Pruning:
    """One run: every statement commits by itself, and none waits longer for a lock than it may."""

    def __init__(self, connection: sa.Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def run(self, expiry: Expiry) -> Iterator[Removal]:
        stuck: dict[str, Removal] = {}  # a table can have one pending detach only: the others wait for it
        detached: dict[str, Removal] = {}
        for part in expiry.pending:
            removal = self._finalize(part)
            if removal.action == "waiting":
                stuck[part.table] = removal
                yield removal
            else:
                detached[part.name] = removal
        for name in _leftovers(self._connection, self._names):
            yield self._drop(replace(detached.pop(name, Removal(name, "dropped")), action="dropped"))
        yield from detached.values()
        for part in expiry.due:
            intended = Removal(part.name, "dropped", part.rows, part.size)
            if part.table in stuck:
                yield replace(intended, action="waiting", blockers=stuck[part.table].blockers)
                continue
            removal = self._detach(part, intended)
            if removal.action == "waiting":
                stuck[part.table] = removal
            yield removal

    def _finalize(self, part: Partition) -> Removal:
        parent, child = self._names.qualified(self._names.of(part.table)), self._names.qualified(part.name)
        done = Removal(part.name, "detached", part.rows, part.size)
        statement = f"ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE"
        if self._execute(statement, FINALIZE_TIMEOUT, attempts=FINALIZE_ATTEMPTS):
            return done
        return self._waiting(done, parent, child)

    def _detach(self, part: Partition, intended: Removal) -> Removal:
        parent, child = self._names.qualified(self._names.of(part.table)), self._names.qualified(part.name)
        mark = sql.Literal(_expired_mark(self._connection, self._names, part.table)).as_string(None)
        if part.end is not None:  # first, and committed by itself: a run may be cut short at any point
            record_horizon(self._connection, self._names, part.table, part.end)
        if not (
            self._execute(f"COMMENT ON TABLE {child} IS {mark}", LOCK_TIMEOUT)
            and self._execute(f"ALTER TABLE {parent} DETACH PARTITION {child} CONCURRENTLY", LOCK_TIMEOUT)
        ):
            return self._waiting(intended, parent, child)
        return self._drop(intended)

    def _drop(self, intended: Removal) -> Removal:
        child = self._names.qualified(intended.name)
        return intended if self._execute(f"DROP TABLE {child}", LOCK_TIMEOUT) else self._waiting(intended, child)

    def _execute(self, statement: str, timeout: str, *, attempts: int = 1) -> bool:
        """Run a statement; False if a lock that it needs could not be had in time."""
        self._connection.execute(sa.select(sa.func.set_config("lock_timeout", timeout, False)))
        retrying = Retrying(
            retry=retry_if_exception(is_lock_timeout),
            stop=stop_after_attempt(attempts),
            wait=wait_random(0.1, 0.5),
            reraise=True,
        )
        try:
            retrying(self._connection.execute, verbatim(statement))
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            return False
        return True

    def _waiting(self, intended: Removal, *tables: str) -> Removal:
        found = self._connection.execute(_BLOCKERS, {"tables": list(tables)})
        return replace(intended, action="waiting", blockers=tuple(found.scalars()))


# Who holds a lock on one of the tables, and who holds a snapshot for which an expired partition has to stay.
_BLOCKERS = sa.text(
    """
    SELECT pid FROM pg_locks JOIN unnest(CAST(:tables AS text[])) AS held ON relation = to_regclass(held)
    WHERE granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND pid <> pg_backend_pid()
    UNION
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
    ORDER BY pid
    """
)

_LEFTOVERS = sa.text(
    """
    SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = :schema AND relkind = 'r' AND NOT relispartition
      AND obj_description(pg_class.oid, 'pg_class') = ANY (CAST(:marks AS text[]))
    ORDER BY relname
    """
)


def _leftovers(connection: sa.Connection, names: Names) -> tuple[str, ...]:
    marks = [_expired_mark(connection, names, table) for table in ("logs", "batches")]
    return tuple(connection.execute(_LEFTOVERS, {"schema": names.schema, "marks": marks}).scalars())


def _expired_mark(connection: sa.Connection, names: Names, table: Table) -> str:
    """The comment of an expired partition; the server quotes the parent's name as `make_partition` had it quoted."""
    mark = sa.func.format("dblog partition of %I.%I, expired", names.schema, names.of(table))
    return str(connection.scalar(sa.select(mark)))


@contextmanager
def _alone(connection: sa.Connection, names: Names) -> Iterator[None]:
    key = sa.func.hashtextextended(f"prune {names.lock}", 0)
    if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
        raise DblogError(f"another process is pruning the tables {names.prefix}_* in the schema {names.schema}")
    try:
        yield
    finally:
        connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
