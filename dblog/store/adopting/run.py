"""Adopting: batches of old rows become batches of records, each with its line in the ledger, each exactly once."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Final

import sqlalchemy as sa

from dblog.errors import DatabaseError, DblogError
from dblog.store.adopting.identity import file_of, is_same, resume, witness_of
from dblog.store.adopting.mapping import MAKE_PARSE, Mapping, map_columns
from dblog.store.adopting.source import Source
from dblog.store.adopting.state import State, read_state, write_state
from dblog.store.beyond import ensure_partition
from dblog.store.engine import verbatim
from dblog.store.names import Names
from dblog.store.partitions import Partition, server_now
from dblog.store.quoting import literal, quoted

_POLL: Final = 0.2
"""Seconds between two looks whether others have ended."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One batch that was adopted."""

    rows: int
    upto: int
    """The id of its last row."""


def adopt(
    connection: sa.Connection,
    names: Names,
    source: Source,
    *,
    zone: str | None,
    batch_rows: int,
    bound: int | None,
    anew: bool | None = None,
) -> Iterator[Progress]:
    """Take over the rows that were not taken before, up to an id, and tell of each batch once it is committed.

    Args:
        connection: From `dblog.store.engine.keeping`, in no transaction; no other adopts the same table until it is
            closed.
        names: The tables that take the rows.
        source: The old table.
        zone: The time zone of times that do not say theirs.
        batch_rows: Rows of one batch, and more only where the last of them shares its id with others.
        bound: The id of the last row to take, from `settled_bound`.
        anew: As `resume` takes it.

    Raises:
        DblogError: Another process adopts this table, or it was emptied or made anew, before or meanwhile.
    """
    with connection.begin():
        _be_alone(connection, names, source)
        connection.execute(verbatim(MAKE_PARSE))
        mapping = map_columns(source, zone, server_now(connection))
        state = resume(connection, names, source, anew)
        if anew is not None:
            write_state(connection, names, source, state)
    if bound is None:
        return
    if state.upto is None:
        state = replace(state, file=source.file)  # of which the bound was read
    adopting = _Adopting(connection, names, source, mapping)
    begun = state.batch_seq
    while (last := adopting.prepare(state, bound, batch_rows)) is not None:
        after, state = state, adopting.take(state, last)
        yield Progress(state.rows - after.rows, last)
    if state.batch_seq > begun:
        adopting.close(state)


def settled_bound(
    connection: sa.Connection, source: Source, *, wait: float, waiting: Callable[[], object]
) -> int | None:
    """The id up to which no further row can come; None for an empty table.

    A row gets its id before its transaction is committed, so that a smaller id may be seen later than a larger one.
    Whoever writes to the table at the moment when the largest id is read has to end first; nobody has to wait for this.

    Args:
        connection: A connection that is in no transaction.
        source: The old table.
        wait: How many seconds the others may take.
        waiting: Called once, where there are others.

    Raises:
        DatabaseError: They took longer; names their processes.
    """
    table = sa.table(source.name, sa.column("id"), schema=source.schema)
    with connection.begin():
        bound: int | None = connection.scalar(sa.select(sa.func.max(table.c.id)))
    writing = _writers(connection, source)
    if writing:
        waiting()
    deadline = time.monotonic() + wait
    while writing:
        if time.monotonic() >= deadline:
            processes = ", ".join(sorted(f"process {pid}" for pid in writing.values()))
            raise DatabaseError(
                f"{processes} has written to {source.title} and not committed: try again when it has ended"
            )
        time.sleep(_POLL)
        still = _writers(connection, source)
        writing = {transaction: pid for transaction, pid in writing.items() if transaction in still}
    return bound


def _writers(connection: sa.Connection, source: Source) -> dict[str, int | None]:
    """The transactions that have written to the table, or are about to, each with its process."""
    with connection.begin():
        return {row.virtualtransaction: row.pid for row in connection.execute(_WRITERS, {"oid": source.oid})}


_WRITERS: Final = sa.text(
    """
    SELECT virtualtransaction, pid FROM pg_locks
    WHERE (relation = :oid OR relation IN (SELECT relid FROM pg_partition_tree(CAST(:oid AS oid))))
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND mode NOT IN ('AccessShareLock', 'RowShareLock') AND pid IS DISTINCT FROM pg_backend_pid()
    """
)


def _be_alone(connection: sa.Connection, names: Names, source: Source) -> None:
    key = sa.func.hashtextextended(f"adopt {names.lock} {source.title}", 0)
    if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
        raise DblogError(f"another process is adopting {source.title}")


class _Adopting:
    """One run over one table."""

    def __init__(self, connection: sa.Connection, names: Names, source: Source, mapping: Mapping) -> None:
        self._connection = connection
        self._names = names
        self._source = source
        self._mapping = mapping
        self._partitions: list[Partition] = []

    def prepare(self, state: State, bound: int, batch_rows: int) -> int | None:
        """Make the partitions of the next batch; the id of its last row, or None where nothing is left."""
        statement = f"""
            SELECT max(id), array_agg(DISTINCT date_trunc('hour', moment))
            FROM (
                SELECT s.id, {self._mapping.moment} AS moment FROM {self._source.qualified} s
                WHERE {self._after(state)} AND s.id <= {bound}
                ORDER BY s.id FETCH FIRST {batch_rows} ROWS WITH TIES
            ) AS next
        """
        with self._connection.begin():
            last, hours = self._connection.execute(verbatim(statement)).one()
        for hour in sorted(hours or ()):
            if not any(part.holds(hour) for part in self._partitions):
                self._partitions.append(ensure_partition(self._connection, self._names, hour.astimezone(UTC), "month"))
        return None if last is None else int(last)

    def take(self, state: State, last: int) -> State:
        """Store one batch, its line in the ledger and the note of it, all at once."""
        with self._connection.begin():
            self._require_unchanged(state)
            values = {"writer_id": f"{literal(state.writer_id)}::uuid", "batch_seq": str(state.batch_seq + 1)}
            values |= {"timestamp": self._mapping.moment, **self._mapping.values}
            statement = f"""
                WITH taken AS (
                    INSERT INTO {self._names.qualified(self._names.logs)} ({", ".join(map(quoted, values))})
                    SELECT {", ".join(values.values())} FROM {self._source.qualified} s
                    WHERE {self._after(state)} AND s.id <= {last} ORDER BY s.id
                    RETURNING "timestamp"
                )
                {self._ledger_row(state, closing=False)} FROM taken RETURNING rows_stored
            """
            rows = self._connection.scalar(verbatim(statement)) or 0  # from now on nobody can empty the table
            self._require_same(state)
            done = replace(
                state,
                batch_seq=state.batch_seq + 1,
                upto=last,
                rows=state.rows + rows,
                file=file_of(self._connection, self._source),
                witness=witness_of(self._connection, self._source, last),
            )
            write_state(self._connection, self._names, self._source, done)
        return done

    def close(self, state: State) -> None:
        """Say in the ledger that nothing is on its way."""
        with self._connection.begin():
            self._require_unchanged(state)
            empty = 'FROM (SELECT NULL::timestamptz AS "timestamp" WHERE false) AS taken'
            self._connection.execute(verbatim(f"{self._ledger_row(state, closing=True)} {empty}"))
            write_state(self._connection, self._names, self._source, replace(state, batch_seq=state.batch_seq + 1))

    def _ledger_row(self, state: State, *, closing: bool) -> str:
        values = {
            "birth_day": "(now() AT TIME ZONE 'UTC')::date",
            "writer_id": f"{literal(state.writer_id)}::uuid",
            "batch_seq": str(state.batch_seq + 1),
            "rows_stored": "count(*)",
            "rows_rejected": "0",
            "time_from": 'min("timestamp")',
            "time_to": 'max("timestamp")',
            "accepted": f"{state.rows} + count(*)",
            "closing": literal(closing),
            "service": literal(f"adopt {self._source.title}"),
            "hostname": literal(socket.gethostname()),
            "process_id": str(os.getpid()),
        }
        table = self._names.qualified(self._names.batches)
        return f"INSERT INTO {table} ({', '.join(map(quoted, values))}) SELECT {', '.join(values.values())}"

    def _after(self, state: State) -> str:
        return "true" if state.upto is None else f"s.id > {state.upto}"

    def _require_same(self, state: State) -> None:
        if not is_same(self._connection, self._source, state):
            raise DblogError(f"{self._source.title} was emptied or made anew meanwhile: look at it, and run this again")

    def _require_unchanged(self, state: State) -> None:
        """Nobody else can have changed the note, but for a hand that did; then the rows are not certain any more."""
        noted = read_state(self._connection, self._names, self._source, lock=True)
        if (noted.batch_seq, noted.upto) != (state.batch_seq, state.upto):
            raise DblogError(f"another process is adopting {self._source.title}")
