"""Retention: whole partitions are detached without blocking anybody, then dropped; of others, rows are deleted.

A partition is marked as expired before it is detached, so that what an interrupted run leaves behind can be told from
a table that somebody detached in order to keep it.
"""

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError
from tenacity import wait_random

from dblog.errors import DblogError
from dblog.store.archivers import Archiver, lacking_option, refusal
from dblog.store.beyond import ensure_partition
from dblog.store.deletion import delete_due, rescue, to_rescue
from dblog.store.engine import verbatim
from dblog.store.expiry import Expiry, Removal, Thinning, still_there, why_kept, why_left
from dblog.store.horizons import forget_others, holds_of, record_horizon, record_seen, record_thinned
from dblog.store.locks import is_lock_timeout, patient
from dblog.store.marks import Leftover, Mark, comment_of, leftovers, still_attached
from dblog.store.names import Names
from dblog.store.partitions import Partition, list_partitions
from dblog.store.turn import alone

LOCK_TIMEOUT: Final = "10s"
"""A waiting DETACH CONCURRENTLY lets everybody pass, so it may wait for the queries that still read the partition."""

FINALIZE_TIMEOUT: Final = "300ms"
"""A waiting FINALIZE keeps everybody out of the parent, so it may wait only for a moment, and tries again."""

FINALIZE_ATTEMPTS: Final = 10


class Refused(DblogError):  # noqa: N818 - reads as what it says
    """The retention would remove what may have to stay."""


def prune(
    connection: sa.Connection, names: Names, expiry: Expiry, *, force: bool = False, archiver: Archiver | None = None
) -> Generator[Removal]:
    """Remove what has expired, one table after the other, and tell of each; nobody is kept waiting.

    Works on a connection of its own, because DETACH CONCURRENTLY cannot be part of a transaction.

    Args:
        connection: In no transaction.
        names: The tables.
        expiry: What `find_expired` found.
        force: Remove what is doubtful, and what should have been archived first where there is no `archiver`.
        archiver: Takes each table of records before it is dropped.

    Raises:
        Refused: There are doubts and something to remove, and `force` is not given.
        Busy: Another process is pruning.
    """
    with alone(connection, names) as own:
        expiry = still_there(own, names, expiry)
        pruning = _Pruning(connection, own, names, expiry, archiver, force)
        yield from pruning.finish_detaches()  # whatever is doubtful: they stand in the way of everybody's partitions
        if expiry.doubts and (expiry.due or expiry.thin or expiry.leftovers) and not force:
            options = "--force" + lacking_option(expiry.leftovers, archives=archiver is not None)
            advice = f"Look at what `dblog prune --dry-run` shows, and use {options} where all of it is right"
            raise Refused(f"{'; '.join(expiry.doubts)}. {advice}")
        _remember(own, names, expiry, force)
        pruning.unmark()
        yield from pruning.drop()
        yield from pruning.delete()


def _remember(own: sa.Connection, names: Names, expiry: Expiry, force: bool) -> None:
    """Note that the clock is believed, and forget what is over; a table that was renamed or restored is looked at."""
    if force or not expiry.doubts:
        record_seen(own, names, expiry.now)
    there = {part.name for part in list_partitions(own, names)}
    forget_others(own, names, there, expiry.now)


class _Pruning:
    """One run: every statement commits by itself, and none waits longer for a lock than it may."""

    def __init__(
        self,
        connection: sa.Connection,
        own: sa.Connection,
        names: Names,
        expiry: Expiry,
        archiver: Archiver | None,
        force: bool,
    ) -> None:
        self._connection = connection
        self._own = own
        self._names = names
        self._expiry = expiry
        self._archiver = archiver
        self._force = force
        self._refused: str | None = None
        self._stuck: dict[str, Removal] = {}  # a table can have one pending detach only: others are not detached then

    def finish_detaches(self) -> Iterator[Removal]:
        """Finish what was begun, by whomever; what is dropped next is not told of yet."""
        for part in self._expiry.pending:
            removal = self._finalize(part)
            if removal.action == "waiting":
                self._stuck[part.table] = removal
            if removal.action == "waiting" or part.name not in {left.name for left in self._leftovers()}:
                yield removal

    def unmark(self) -> None:
        """Take back the marks that no detach followed: whoever detaches such a partition later may want to keep it."""
        for each in still_attached(self._own, self._names):
            comment = sql.Literal(comment_of(self._own, self._names, each.table, None)).as_string(None)
            self._execute(f"COMMENT ON TABLE {self._names.qualified(each.name)} IS {comment}", LOCK_TIMEOUT)

    def drop(self) -> Iterator[Removal]:
        """Drop what earlier runs have detached, then detach and drop what is due."""
        found = self._leftovers()
        tables = {left.table for left in found} | {part.table for part in self._expiry.due}
        self._refused = refusal(self._archiver, self._connection, tables)  # before anything is detached in vain
        for left in found:
            yield self._drop(left, Removal(left.name, "dropped", left.rows, left.size))
        for part in self._expiry.due:
            if part.name in holds_of(self._own, self._names):  # restored since it was found
                continue
            intended = Removal(part.name, "dropped", part.rows, part.size)
            if part.table in self._stuck:
                yield replace(intended, action="waiting", blockers=self._stuck[part.table].blockers)
                continue
            if (reason := why_kept(part, self._refused, self._expiry)) is not None:
                yield replace(intended, action="kept", note=reason)
                continue
            yield self._detach_and_drop(part, intended)

    def delete(self) -> Iterator[Removal]:
        """Delete the rows that have to go alone."""
        for each in self._expiry.thin:
            if each.part.name not in holds_of(self._own, self._names):
                yield from self._thin(each)

    def _leftovers(self) -> tuple[Leftover, ...]:
        return leftovers(self._own, self._names)

    def _finalize(self, part: Partition) -> Removal:
        parent, child = self._names.qualified(self._names.of(part.table)), self._names.qualified(part.name)
        done = Removal(part.name, "detached", part.rows, part.size)
        statement = f"ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE"
        if self._execute(statement, FINALIZE_TIMEOUT, attempts=FINALIZE_ATTEMPTS):
            return done
        return self._waiting(done, parent, child)

    def _detach_and_drop(self, part: Partition, intended: Removal) -> Removal:
        parent, child = self._names.qualified(self._names.of(part.table)), self._names.qualified(part.name)
        mark = Mark(part.name in self._expiry.emptied, part.table == "logs" and self._archiver is not None)
        comment = sql.Literal(comment_of(self._own, self._names, part.table, mark)).as_string(None)
        if part.end is not None:  # first, and committed by itself: a run may be cut short at any point
            record_horizon(self._own, self._names, part.table, part.end)
        if not self._execute(f"COMMENT ON TABLE {child} IS {comment}", LOCK_TIMEOUT):
            return self._waiting(intended, child)
        if not self._execute(f"ALTER TABLE {parent} DETACH PARTITION {child} CONCURRENTLY", LOCK_TIMEOUT):
            self._stuck[part.table] = self._waiting(intended, parent, child)
            return self._stuck[part.table]
        return self._drop(Leftover(part.name, part.table, mark, part.rows, part.size), intended)

    def _drop(self, left: Leftover, intended: Removal) -> Removal:
        """Drop a detached table, once what has to stay of it is elsewhere."""
        child = self._names.qualified(left.name)
        archives = left.table == "logs" and self._archiver is not None
        if (reason := why_left(left, self._refused, archive=archives, force=self._force)) is not None:
            return replace(intended, action="kept", note=reason)
        try:
            if left.table == "logs" and self._archiver is not None:
                self._archiver(self._connection, left.name)
            if left.mark.rescue:
                self._rescue(left)
        except DblogError as error:
            return replace(intended, action="kept", note=str(error))
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            return self._waiting(intended, child, self._names.qualified(self._names.logs))
        done = replace(intended, action="archived and dropped" if archives else "dropped")
        return done if self._execute(f"DROP TABLE {child}", LOCK_TIMEOUT) else self._waiting(intended, child)

    def _rescue(self, left: Leftover) -> None:
        """Put back what came after the partition was found to hold nothing that has to stay."""
        bounds = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
        cuts = self._expiry.policy.cuts(*bounds, self._expiry.now)
        moments = to_rescue(self._own, self._names, left.name, cuts)
        for moment in moments:
            ensure_partition(self._connection, self._names, moment, "day")
        if moments:
            self._set_lock_timeout(LOCK_TIMEOUT)
            rescue(self._own, self._names, left.name, cuts)

    def _thin(self, each: Thinning) -> Iterator[Removal]:
        name, gone = each.part.name, Counter[int]()
        done = Removal(name, "deleted rows", size=each.part.size)
        self._set_lock_timeout(LOCK_TIMEOUT)
        try:
            for batch in delete_due(self._own, self._names, name, each.cuts):
                gone += batch
                yield replace(done, action="deleting rows", rows=gone.total())
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            yield self._waiting(replace(done, rows=gone.total(), levels=dict(gone)), self._names.qualified(name))
            return
        record_thinned(self._own, self._names, name, each.state)
        if gone:
            yield replace(done, rows=gone.total(), levels=dict(sorted(gone.items())))

    def _execute(self, statement: str, timeout: str, *, attempts: int = 1) -> bool:
        """Run a statement; False if a lock that it needs could not be had in time."""
        self._set_lock_timeout(timeout)
        try:
            patient(attempts, wait_random(0.1, 0.5))(self._own.execute, verbatim(statement))
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            return False
        return True

    def _set_lock_timeout(self, timeout: str) -> None:
        self._own.execute(sa.select(sa.func.set_config("lock_timeout", timeout, False)))

    def _waiting(self, intended: Removal, *tables: str) -> Removal:
        found = self._own.execute(_BLOCKERS, {"tables": list(tables)})
        return replace(intended, action="waiting", blockers=tuple(found.scalars()))


# Who holds a lock on one of the tables, and who holds a snapshot for which an expired partition has to stay.
_BLOCKERS: Final = sa.text(
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
