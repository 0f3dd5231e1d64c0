"""Records put into the tables as a writer does it: rows and their ledger row in one transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

ORDINARY: dict[str, Any] = {
    "level_no": 20,
    "level": "INFO",
    "logger_name": "app",
    "hostname": "web-1",
    "process_id": 4242,
    "message": "hello",
}


def at(**before: float) -> datetime:
    """A moment before now, as `timedelta` takes it."""
    return datetime.now(UTC) - timedelta(**before)


def insert(connection: psycopg.Connection, *rows: dict[str, Any], writer: UUID | None = None, seq: int = 1) -> UUID:
    """Insert one batch of rows, which differ from an ordinary one in what is given; returns the writer."""
    writer = writer or uuid4()
    full = [ORDINARY | {"timestamp": datetime.now(UTC)} | row for row in rows]
    times = [row["timestamp"] for row in full]
    for moment in {moment.date(): moment for moment in times}.values():
        _require_partition(connection, moment)
    with connection.transaction():
        connection.execute(
            "INSERT INTO dblog_batches (birth_day, writer_id, batch_seq, rows_stored, rows_rejected, time_from, "
            "time_to, accepted, closing, hostname, process_id) "
            "VALUES (%s, %s, %s, %s, 0, %s, %s, %s, false, 'web-1', 4242)",
            [datetime.now(UTC).date(), writer, seq, len(full), min(times), max(times), len(full)],
        )
        for row in full:
            _insert_row(connection, row | {"writer_id": writer, "batch_seq": seq})
    return writer


def fill(connection: psycopg.Connection, count: int, *, start: datetime, step: timedelta) -> None:
    """Insert many ordinary records with the messages `row 1`, `row 2` and so on, at even distances in time."""
    connection.execute(
        "SELECT dblog_make_partition(day) FROM generate_series(%s::timestamptz, %s::timestamptz, '1 day') AS day",
        [start, start + count * step + timedelta(days=1)],
    )
    connection.execute(
        "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
        "SELECT gen_random_uuid(), 1, %s + i * %s, 10 * (1 + i %% 5), (array['CRITICAL', 'DEBUG', 'INFO', 'WARNING', "
        "'ERROR'])[1 + (i + 1) %% 5], 'app.' || i %% 7, 'web-1', 'row ' || i FROM generate_series(1, %s) AS i",
        [start, step, count],
    )
    connection.execute("ANALYZE dblog_logs")


def _require_partition(connection: psycopg.Connection, moment: datetime) -> None:
    """Make the partition of a day if it is missing; making it takes a lock, which a transaction would keep."""
    name = f"dblog_logs_p{moment.astimezone(UTC):%Y%m%d}"
    if connection.execute("SELECT to_regclass(%s) IS NULL", [name]).fetchone() == (True,):
        connection.execute("SELECT dblog_make_partition(%s)", [moment])


def _insert_row(connection: psycopg.Connection, row: Sequence[Any] | dict[str, Any]) -> None:
    values = {
        key: Jsonb(value) if key == "extra_data" and value is not None else value for key, value in dict(row).items()
    }
    connection.execute(
        sql.SQL("INSERT INTO dblog_logs ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
        ),
        values,
    )
