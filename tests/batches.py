"""Batches as the worker forms them, sinks that take them, and what the tables have afterwards."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from servers import Database

from dblog.batch import Batch, BatchKey, Rejected
from dblog.columns import COLUMN_NAMES
from dblog.sinks.postgres import PostgresSink

WRITER = "0123456789abcdef0123456789abcdef"
NOW = datetime.now(UTC).replace(hour=12)


def sink(conninfo: str, **values: Any) -> PostgresSink:
    """A sink; the test closes it."""
    chosen: dict[str, Any] = {
        "conninfo": conninfo,
        "schema": None,
        "table_prefix": "dblog",
        "writer_id": WRITER,
        "service": "shop's",
        "hostname": "web-1",
        "process_id": 42,
        "connect_timeout": 60.0,
        "query_timeout": 60.0,
        "partitions_ahead": 2,
    }
    return PostgresSink(**{**chosen, **values})


def batch(
    seq: int,
    *messages: str,
    moment: datetime = NOW,
    day: datetime | None = None,
    fields: dict[str, str] | None = None,
    columns: tuple[str, ...] = COLUMN_NAMES,
) -> Batch:
    """A batch of INFO rows with these messages, all of one moment; `fields` are further ones, as COPY reads them."""
    stamp = f"{moment:%Y-%m-%d %H:%M:%S.%f}+00"
    values = {
        "writer_id": WRITER,
        "batch_seq": str(seq),
        "timestamp": stamp,
        "level_no": "20",
        "level": "INFO",
        "logger_name": "app",
        "hostname": "web-1",
    }
    rows = []
    for message in messages:
        row = values | {"message": message} | (fields or {})
        rows.append("\t".join(row.get(name, "\\N") for name in columns) + "\n")
    return Batch(
        key=BatchKey(f"{day or NOW:%Y-%m-%d}", WRITER, seq),
        payload="".join(rows).encode(),
        levels={20: len(rows)},
        time_from=stamp if rows else None,
        time_to=stamp if rows else None,
        accepted=len(rows),
        closing=not rows,
        columns=columns,
    )


def joined(*batches: Batch) -> Batch:
    """The rows of several batches under the key of the first."""
    first = batches[0]
    times = [time for each in batches for time in (each.time_from, each.time_to) if time is not None]
    return Batch(
        key=first.key,
        payload=b"".join(each.payload for each in batches),
        levels={20: sum(each.rows for each in batches)},
        time_from=min(times),
        time_to=max(times),
        accepted=first.accepted,
    )


def store(target: PostgresSink, given: Batch) -> list[Rejected]:
    """Store a batch; returns what was refused."""
    rejected: list[Rejected] = []
    target.store(given, rejected, keep_nothing)
    return rejected


def keep_nothing(_batch: Batch, _refused: Sequence[Rejected]) -> None:
    """Set refused rows aside nowhere."""


def messages(database: Database) -> list[str]:
    """The messages in the table, in the order of their arrival."""
    with database.connect() as connection:
        return [row[0] for row in connection.execute("SELECT message FROM dblog_logs ORDER BY id")]


def ledger(database: Database) -> list[tuple[Any, ...]]:
    """The ledger: number, rows stored, rows rejected, closing."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT batch_seq, rows_stored, rows_rejected, closing FROM dblog_batches ORDER BY batch_seq"
        ).fetchall()
