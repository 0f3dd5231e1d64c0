"""The database: a batch becomes rows and a line of the ledger in one transaction, once and never twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, cast

import psycopg
from psycopg import sql

from dblog.batch import Batch, BatchKey, Rejected
from dblog.errors import DatabaseError
from dblog.faults import Fault, classify
from dblog.periods import PartitionBy, moments_ahead
from dblog.sinks import exchange, restamp, statements
from dblog.sinks.halving import copy_halves
from dblog.sinks.session import Session

SetAside = Callable[[Batch, Sequence[Rejected]], None]

_MOST_OPEN: Final = 100
"""Of how many batches without an answer to their COMMIT the refused rows are remembered."""
_CUT: Final = "the ledger has only the rows before it of the same batch: a copy of an open journal was delivered"


@dataclass(slots=True, kw_only=True)
class PostgresSink(Session):
    """A session, owned by the worker's thread, that stores whole batches.

    Args:
        writer_id: The writer whose session this is; batches of others, which it adopted, speak for themselves.
        service: Recorded in the ledger for batches of its own.
        hostname: Recorded in the ledger.
        process_id: Recorded in the ledger.
        partitions_ahead: How many partitions are made ahead of time.
    """

    writer_id: str
    service: str | None
    hostname: str
    process_id: int
    partitions_ahead: int
    _refused: dict[BatchKey, list[Rejected]] = field(default_factory=dict, init=False)

    def store(self, batch: Batch, rejected: list[Rejected], set_aside: SetAside, *, stepwise: bool = False) -> bool:
        """Store a batch; a batch that the ledger knows already counts as stored.

        Args:
            batch: Rows and key.
            rejected: Filled with the rows that PostgreSQL refuses; the others are stored.
            set_aside: Told the refused rows, or that there are none, before the transaction is committed; not where
                the batch goes in at once.
            stepwise: Have `set_aside` told in any case, because an earlier try may have set rows aside.

        Returns:
            False where the ledger knew the batch; `rejected` then has only what this process itself saw refused, or
            the last rows where the ledger has fewer of them.

        Raises:
            psycopg.Error, TimeoutError, DatabaseError, OSError: The batch is not known to be stored.
        """
        connection = self._ready_connection()
        try:
            if stepwise:
                batch = self._with_partitions(connection, batch)
                self._store_piecewise(connection, batch, rejected, set_aside)
            else:
                self._store(connection, batch, rejected, set_aside)
        except exchange.Duplicate:
            self._run(connection, statements.ROLLBACK)
            self._accept_known(connection, batch, rejected, set_aside)
            self._refused.pop(batch.key, None)
            return False
        except BaseException as error:
            self._settle(connection, error)
            raise
        self._refused.pop(batch.key, None)
        return True

    def _store(
        self, connection: psycopg.Connection, batch: Batch, rejected: list[Rejected], set_aside: SetAside
    ) -> None:
        try:
            self._store_whole(connection, batch)
        except psycopg.Error as error:
            if classify(error) not in (Fault.NO_PARTITION, Fault.BAD_DATA):
                raise
            self._run(connection, statements.ROLLBACK)
            batch = self._with_partitions(connection, batch)  # also beside a bad row, or others would be refused
            self._store_piecewise(connection, batch, rejected, set_aside)

    def _store_whole(self, connection: psycopg.Connection, batch: Batch) -> None:
        """One message for the whole transaction: it saves three round trips, and passes PgBouncer."""
        parts = [statements.begin(self.query_timeout), self._ledger_row(batch, rejected=0)]
        if batch.payload:
            parts.append(self._statements.copy(batch.columns))
        self._run(connection, sql.SQL("; ").join([*parts, statements.COMMIT]), batch.payload)

    def _store_piecewise(
        self, connection: psycopg.Connection, batch: Batch, rejected: list[Rejected], set_aside: SetAside
    ) -> None:
        """Find the rows that are refused by halving; the ledger's line goes last, so that its count is true."""
        self._run(connection, statements.begin(self.query_timeout))
        rows = batch.payload.splitlines(keepends=True)
        refused = list(copy_halves(partial(self._run, connection), self._statements.copy(batch.columns), rows))
        results = self._run(connection, self._ledger_row(batch, rejected=len(refused)))
        if results[-1].command_tuples == 0:
            raise exchange.Duplicate
        set_aside(batch, refused)
        self._remember(batch.key, refused)  # the answer to COMMIT may get lost: then the next try is a duplicate
        self._run(connection, statements.COMMIT)
        rejected.extend(refused)

    def _remember(self, key: BatchKey, refused: list[Rejected]) -> None:
        """Until it is known whether the batch was committed; of too many such batches the oldest are forgotten."""
        self._refused.pop(key, None)
        while len(self._refused) >= _MOST_OPEN:
            del self._refused[next(iter(self._refused))]
        self._refused[key] = refused

    def _accept_known(
        self, connection: psycopg.Connection, batch: Batch, rejected: list[Rejected], set_aside: SetAside
    ) -> None:
        """Believe the ledger, as far as it goes: a copy of an open journal may have delivered the first rows alone."""
        refused = self._refused.get(batch.key, [])
        known = self._known_rows(connection, batch)
        if known < batch.rows:
            refused = [Rejected(row, _CUT) for row in batch.payload.splitlines(keepends=True)[known:]]
            set_aside(batch, refused)
        rejected.extend(refused)

    def _known_rows(self, connection: psycopg.Connection, batch: Batch) -> int:
        try:
            known = self._one_value(connection, self._statements.rows_of(batch.key))
        except psycopg.errors.InsufficientPrivilege:  # a role that may only insert has to believe
            known = None
        return batch.rows if known is None else int(known)

    def _with_partitions(self, connection: psycopg.Connection, batch: Batch) -> Batch:
        """Make the partitions of a batch; rows whose time no partition may have get the server's time instead."""
        if not self._made_partition(connection, f"{batch.key.birth_day} 00:00+00"):
            raise DatabaseError(
                f"a batch was formed on {batch.key.birth_day}, which is no day for the ledger: a clock is wrong"
            )
        hours = sorted(restamp.hours_of(batch))
        impossible = [hour for hour in hours if not self._made_partition(connection, hour)]
        if not impossible:
            return batch
        now = str(self._one_value(connection, statements.NOW))
        self._made_partition(connection, now)
        return restamp.restamped(batch, impossible, now)

    def _made_partition(self, connection: psycopg.Connection, moment: str) -> bool:
        """False where no partition may hold the moment."""
        try:
            self._run(connection, self._statements.make_partition(moment))
        except psycopg.DataError:
            return False
        return True

    def keep_ahead(self) -> None:
        """Make the partitions of the days to come.

        Raises:
            psycopg.Error, TimeoutError, DatabaseError: They could not be made.
        """
        connection = self._ready_connection()
        try:
            step = cast("PartitionBy", self._one_value(connection, self._statements.partition_by()))
            now = datetime.fromisoformat(str(self._one_value(connection, statements.NOW)))
            for moment in moments_ahead(step, self.partitions_ahead, now):  # a transaction for each: short locks
                self._run(connection, self._statements.make_partition(moment.isoformat()))
        except BaseException as error:
            self._settle(connection, error)
            raise

    def _ledger_row(self, batch: Batch, *, rejected: int) -> sql.Composable:
        own: dict[str, object] = {"service": self.service, "hostname": self.hostname, "process_id": self.process_id}
        writer = own if batch.key.writer_id == self.writer_id else {**own, **statements.writer_of(batch)}
        return self._statements.ledger_row(batch, rejected=rejected, writer=writer)
