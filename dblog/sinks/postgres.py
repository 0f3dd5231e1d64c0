"""The database: a batch becomes rows and a line of the ledger in one transaction, once and never twice."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import psycopg
from psycopg import pq, sql

from dblog.batch import Batch, BatchKey, Rejected
from dblog.columns import BATCH_COLUMNS, LOG_COLUMNS, SCHEMA_REVISION
from dblog.errors import NotMigrated
from dblog.faults import Fault, classify, describe, sqlstate_of
from dblog.periods import PartitionBy, offsets_ahead
from dblog.sinks import exchange

Prepare = Callable[[psycopg.Connection], None]

_HOUR_WIDTH: Final = len("2026-11-21 05")


@dataclass(slots=True)
class PostgresSink:
    """One connection, owned by the worker's thread, that stores whole batches.

    Args:
        conninfo: A libpq connection string.
        schema: The schema of the tables; None for the first one of the role's search_path.
        table_prefix: The prefix of the tables.
        service: Recorded in the ledger.
        hostname: Recorded in the ledger.
        process_id: Recorded in the ledger.
        connect_timeout: Seconds for one attempt to connect.
        query_timeout: Seconds for one batch.
        partitions_ahead: How many partitions are made ahead of time.
        prepare: Creates or upgrades the tables on a connection of its own; None where that is left to `dblog init`.
    """

    conninfo: str
    schema: str | None
    table_prefix: str
    service: str | None
    hostname: str
    process_id: int
    connect_timeout: float
    query_timeout: float
    partitions_ahead: int
    prepare: Prepare | None = None
    _connection: psycopg.Connection | None = field(default=None, init=False)
    _refused: dict[BatchKey, list[Rejected]] = field(default_factory=dict, init=False)
    _resolved_schema: str = field(default="public", init=False)

    @property
    def connected(self) -> bool:
        """True while there is a connection that was not seen to fail."""
        return self._connection is not None

    def store(self, batch: Batch, rejected: list[Rejected]) -> None:
        """Store a batch; a batch that the ledger knows already counts as stored.

        Args:
            batch: Rows and key.
            rejected: Filled with the rows that PostgreSQL refuses; the others are stored.

        Raises:
            psycopg.Error, TimeoutError, NotMigrated, OSError: The batch is not known to be stored.
        """
        connection = self._ready_connection()
        try:
            self._store(connection, batch, rejected)
        except exchange.Duplicate:
            self._run(connection, sql.SQL("ROLLBACK"))
            rejected.extend(self._refused.get(batch.key, ()))
        except BaseException:
            self._settle(connection)
            raise

    def _store(self, connection: psycopg.Connection, batch: Batch, rejected: list[Rejected]) -> None:
        try:
            self._store_whole(connection, batch)
        except psycopg.Error as error:
            fault = classify(error)
            if fault not in (Fault.NO_PARTITION, Fault.BAD_DATA):
                raise
            self._run(connection, sql.SQL("ROLLBACK"))
            if fault is Fault.NO_PARTITION:
                self._make_partitions(connection, batch)
            self._store_piecewise(connection, batch, rejected)

    def _store_whole(self, connection: psycopg.Connection, batch: Batch) -> None:
        """One message for the whole transaction: it saves three round trips, and passes PgBouncer."""
        statements = [self._begin(), self._ledger_row(batch, rejected=0)]
        if batch.payload:
            statements.append(self._copy())
        self._run(connection, sql.SQL("; ").join([*statements, sql.SQL("COMMIT")]), batch.payload)

    def _store_piecewise(self, connection: psycopg.Connection, batch: Batch, rejected: list[Rejected]) -> None:
        """Find the rows that are refused by halving; the ledger's line goes last, so that its count is true."""
        self._run(connection, self._begin())
        refused = list(self._copy_halving(connection, batch.payload.splitlines(keepends=True)))
        results = self._run(connection, self._ledger_row(batch, rejected=len(refused)))
        if results[-1].command_tuples == 0:
            raise exchange.Duplicate
        self._refused = {batch.key: refused}  # the answer to COMMIT may get lost: then the next try is a duplicate
        self._run(connection, sql.SQL("COMMIT"))
        rejected.extend(refused)

    def _copy_halving(self, connection: psycopg.Connection, rows: list[bytes]) -> Iterator[Rejected]:
        self._run(connection, sql.SQL("SAVEPOINT part"))
        try:
            self._run(connection, self._copy(), b"".join(rows))
            self._run(connection, sql.SQL("RELEASE SAVEPOINT part"))
            return
        except psycopg.Error as error:
            if classify(error) not in (Fault.BAD_DATA, Fault.NO_PARTITION):
                raise
            reason = describe(error)
        self._run(connection, sql.SQL("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part"))
        if len(rows) == 1:
            yield Rejected(rows[0], reason)
        else:
            yield from self._copy_halving(connection, rows[: len(rows) // 2])
            yield from self._copy_halving(connection, rows[len(rows) // 2 :])

    def _make_partitions(self, connection: psycopg.Connection, batch: Batch) -> None:
        """Make the partitions of a batch; a time that no partition may have leaves its rows to be set aside."""
        start = len(batch.key.writer_id) + len(str(batch.key.seq)) + 2
        hours = {row[start : start + _HOUR_WIDTH] for row in batch.payload.splitlines()}
        moments = [f"{batch.key.birth_day} 00:00+00", *sorted(hour.decode() + ":00+00" for hour in hours)]
        for moment in moments:
            try:
                self._run(connection, sql.SQL("SELECT {}({})").format(self._name("make_partition"), moment))
            except psycopg.DataError:
                continue

    def keep_ahead(self) -> None:
        """Make the partitions of the days to come.

        Raises:
            psycopg.Error, TimeoutError, NotMigrated: They could not be made.
        """
        connection = self._ready_connection()
        granularity = sql.SQL("SELECT value FROM {} WHERE name = 'partition_by'").format(self._name("settings"))
        try:
            step = cast("PartitionBy", self._one_value(connection, granularity))
            for offset in offsets_ahead(step, self.partitions_ahead):  # each in a transaction of its own: short locks
                call = sql.SQL("SELECT {}(now() + {}::interval)").format(self._name("make_partition"), str(offset))
                self._run(connection, call)
        except BaseException:
            self._settle(connection)
            raise

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """In a forked child: let go of the inherited connection without a word to the server."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, connection.fileno())
            os.close(null)
            connection.close()  # its farewell goes to the null device

    def _ready_connection(self) -> psycopg.Connection:
        if self._connection is not None and not exchange.is_alive(self._connection.pgconn):
            self.close()
        if self._connection is None:
            connection = self._connect()
            try:
                self._check_tables(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _connect(self) -> psycopg.Connection:
        """Open a connection that notices a lost peer within seconds and leaves no prepared statements behind."""
        return psycopg.connect(
            self.conninfo,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=max(2, round(self.connect_timeout)),
            client_encoding="UTF8",
            fallback_application_name="dblog",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=round(self.query_timeout * 1000),
        )

    def _check_tables(self, connection: psycopg.Connection) -> None:
        """Learn the schema; where the tables are missing or older than this release, have them made."""
        schema = self.schema or self._one_value(connection, sql.SQL("SELECT current_schema()"))
        self._resolved_schema = schema or "public"
        if self._revision(connection) == SCHEMA_REVISION:
            return
        if self.prepare is None:
            raise NotMigrated(f"the tables {self.table_prefix}_* are missing or of another version: run `dblog init`")
        with psycopg.connect(self.conninfo, connect_timeout=max(2, round(self.connect_timeout))) as other:
            self.prepare(other)

    def _revision(self, connection: psycopg.Connection) -> str | None:
        query = sql.SQL("SELECT version_num FROM {}").format(self._name("alembic_version"))
        try:
            return self._one_value(connection, query)
        except psycopg.Error as error:
            state = sqlstate_of(error)
            if state == "42501":  # a role that may only write cannot tell: the tables are somebody else's work
                return SCHEMA_REVISION
            if state == "42P01":
                return None
            raise

    def _one_value(self, connection: psycopg.Connection, query: sql.Composable) -> str | None:
        result = self._run(connection, query)[-1]
        value = result.get_value(0, 0) if result.ntuples else None
        return value.decode() if value is not None else None

    def _settle(self, connection: psycopg.Connection) -> None:
        """After a failure: end the transaction, or the connection where that is not possible."""
        try:
            self._run(connection, sql.SQL("ROLLBACK"))
        except (psycopg.Error, OSError):
            self.close()

    def _run(
        self, connection: psycopg.Connection, query: sql.Composable, payload: bytes | None = None
    ) -> list[pq.abc.PGresult]:
        deadline = time.monotonic() + self.query_timeout
        return exchange.run(connection.pgconn, query.as_bytes(connection), payload, deadline)

    def _name(self, suffix: str) -> sql.Identifier:
        return sql.Identifier(self._resolved_schema, f"{self.table_prefix}_{suffix}")

    def _begin(self) -> sql.Composable:
        limit = round(self.query_timeout * 1000)
        return sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {}").format(limit)

    def _copy(self) -> sql.Composable:
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in LOG_COLUMNS)
        return sql.SQL("COPY {} ({}) FROM STDIN").format(self._name("logs"), columns)

    def _ledger_row(self, batch: Batch, *, rejected: int) -> sql.Composable:
        """The line of the ledger; without a conflict target, so that the right to INSERT is enough."""
        key = batch.key
        values = {
            "birth_day": key.birth_day,
            "writer_id": key.writer_id,
            "batch_seq": key.seq,
            "rows_stored": batch.rows - rejected,
            "rows_rejected": rejected,
            "time_from": batch.time_from,
            "time_to": batch.time_to,
            "accepted": batch.accepted,
            "closing": batch.closing,
            "service": self.service,
            "hostname": self.hostname,
            "process_id": self.process_id,
        }
        return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
            self._name("batches"),
            sql.SQL(", ").join(sql.Identifier(column.name) for column in BATCH_COLUMNS),
            sql.SQL(", ").join(sql.Literal(values[column.name]) for column in BATCH_COLUMNS),
        )
