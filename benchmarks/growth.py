"""Whether storing gets slower as the table grows, and what each index costs in rows a second and bytes a row."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, get_args

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from benchmarks.loading import loaded
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog.batch import Batch, BatchKey
from dblog.columns import COLUMN_NAMES
from dblog.fields import IndexProfile
from dblog.sinks.postgres import PostgresSink

BATCH: Final = 10_000
"""Rows of a batch, as a writer cuts them under load."""
STEP: Final = timedelta(microseconds=100)
"""The time between two records."""
GROWN: Final = "Insert rate into a table that has grown"
PROFILES: Final = "Insert rate and size by index profile"
SINGLE: Final = "What one index costs"

INDEXES: Final = {
    "primary key alone": "",
    "(logger_name, timestamp)": "(logger_name, timestamp)",
    "(timestamp, level_no), warnings": "(timestamp, level_no) WHERE level_no >= 30",
    "(logger_name, timestamp, level_no), warnings": ("(logger_name, timestamp, level_no) WHERE level_no >= 30"),
    "(trace_id)": "(trace_id) WHERE trace_id IS NOT NULL",
    "extra_data, GIN jsonb_path_ops": "USING gin (extra_data jsonb_path_ops)",
    "message, full text": "USING gin (to_tsvector('simple', message))",
    "message, GIN pg_trgm": "USING gin (message gin_trgm_ops)",
}
"""Each beside the primary key, which includes the level."""


def tables(run: Run) -> Iterator[Table]:
    """Batches are encoded beforehand and stored by dblog's own transport: what is measured is the server's part."""
    rows = min(run.records, 300_000)
    source = loaded(run.server, max(run.rows))
    lines = _lines(source)
    empty = loaded(run.server, 0)
    grown = {
        f"{millions:g}": partial(_store_into_largest, loaded(run.server, millions), lines, rows)
        for millions in run.rows
    }
    yield Table(
        GROWN,
        {"0": lambda: {"rows_per_s": _store_into_empty(empty, lines, rows)["rows_per_s"]}, **grown},
        to="0",
        compare=("rows_per_s",),
        plot=("rows_per_s",),
        axis="million rows",
        note=f"{rows:,} rows a round, in batches of {BATCH:,}, into the largest of 30 daily partitions.",
        rounds=None if run.quick else 9,
    )
    profiles = {name: loaded(run.server, 0, name) for name in get_args(IndexProfile)}
    yield Table(
        PROFILES,
        {name: partial(_store_into_empty, dsn, lines, rows) for name, dsn in profiles.items()},
        to="minimal",
        compare=("rows_per_s", "bytes_per_row"),
        plot=("rows_per_s",),
        note=f"{rows:,} rows into empty tables; the bytes are those of a row with all its indexes.",
    )
    if not run.quick:
        yield Table(
            SINGLE,
            {
                name: partial(_store_with, profiles["minimal"], index, lines, rows // 3)
                for name, index in INDEXES.items()
            },
            to="primary key alone",
            compare=("rows_per_s", "bytes_per_row"),
            note=f"{rows // 3:,} rows into empty tables that have the primary key and this index.",
        )


def _lines(dsn: str) -> list[bytes]:
    """Rows as COPY has them, without writer, batch and timestamp."""
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMN_NAMES[3:]))
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        newest = sql.SQL("(SELECT {} FROM dblog_logs ORDER BY timestamp DESC LIMIT {})").format(columns, BATCH)
        with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(newest)) as source:
            return b"".join(bytes(chunk) for chunk in source).splitlines()


def _batches(lines: list[bytes], start: datetime, rows: int) -> Iterator[Batch]:
    """Batches of a new writer, whose records follow each other at `STEP`."""
    writer = uuid.uuid4()
    for seq, first in enumerate(range(0, rows, BATCH), 1):
        count = min(BATCH, rows - first)
        times = [(start + (first + number) * STEP).isoformat(" ") for number in range(count)]
        payload = b"".join(
            b"%s\t%d\t%s\t%s\n" % (str(writer).encode(), seq, moment.encode(), lines[number % len(lines)])
            for number, moment in enumerate(times)
        )
        key = BatchKey(f"{datetime.now(UTC):%Y-%m-%d}", writer.hex, seq)
        yield Batch(key, payload, {20: count}, times[0], times[-1], accepted=first + count)


def _store(dsn: str, lines: list[bytes], start: datetime, rows: int) -> float:
    """Store that many rows; returns how many a second."""
    batches = list(_batches(lines, start, rows))
    sink = PostgresSink(
        conninfo=dsn,
        schema=None,
        table_prefix="dblog",
        writer_id=batches[0].key.writer_id,
        service="shop",
        hostname="web-1",
        process_id=1,
        connect_timeout=10,
        query_timeout=60,
        partitions_ahead=1,
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    try:
        sink.store(batches[0], [], lambda *_: None)  # opens the connection, too
        began = time.perf_counter()
        for batch in batches[1:]:
            sink.store(batch, [], lambda *_: None)
        return (rows - batches[0].rows) / (time.perf_counter() - began)
    finally:
        sink.close()


def _store_into_largest(dsn: str, lines: list[bytes], rows: int) -> Figures:
    """The rate at which rows are appended to the largest partition, after the newest that it has."""
    with psycopg.connect(dsn, row_factory=scalar_row) as connection:
        part = sql.Identifier(str(connection.execute(_LARGEST).fetchone()))
        newest = connection.execute(sql.SQL("SELECT max(timestamp) FROM {}").format(part)).fetchone()
    if not isinstance(newest, datetime):
        raise TypeError("the largest partition is empty")
    return {"rows_per_s": _store(dsn, lines, newest.astimezone(UTC) + STEP, rows)}


_LARGEST: Final = """
SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = oid WHERE inhparent = 'dblog_logs'::regclass
ORDER BY pg_relation_size(oid) DESC LIMIT 1
"""


def _store_into_empty(dsn: str, lines: list[bytes], rows: int) -> Figures:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE dblog_logs, dblog_batches")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rate = _store(dsn, lines, midnight - timedelta(days=1), rows)
    return {"rows_per_s": rate, "bytes_per_row": _bytes(dsn) / rows}


def _store_with(dsn: str, index: str, lines: list[bytes], rows: int) -> Figures:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        connection.execute("TRUNCATE dblog_logs, dblog_batches")
        if index:
            connection.execute(f"CREATE INDEX one ON dblog_logs {index}".encode())
    try:
        return _store_into_empty(dsn, lines, rows)
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("TRUNCATE dblog_logs; DROP INDEX IF EXISTS one")


def _bytes(dsn: str) -> int:
    """What the partitions that have rows take, with all their indexes."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(_SIZE).fetchone()
    return int(row[0]) if row else 0


_SIZE: Final = """
SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits
WHERE inhparent = 'dblog_logs'::regclass AND pg_relation_size(inhrelid) > 0
"""
