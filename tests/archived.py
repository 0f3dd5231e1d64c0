"""Records as odd as a table can have them, their archive, and what a table has."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import sqlalchemy as sa
from records import insert
from servers import Database

from dblog.archive.catalog import Archive
from dblog.archive.formats import FormatName
from dblog.archive.restoring import Restored, restore
from dblog.archive.writing import Archived, archive_partition
from dblog.store.names import Names

ODD_TEXTS = (
    "",
    "plain",
    'a "quoted" \\ text\\\\',
    "\\N",
    "\\.",
    "line\nline\r\nline\rtab\t,;|",
    "\x01\x07\x1b\x1e\x7f\u0085\u2028\ufeff",
    "Grüße, 世界 👩‍💻",
    "null",
    "x" * 70_000,
)

ODD_JSON = (
    '{"n": 1.10, "big": 123456789012345678901234567890.00000000000000000001, "e": 1e-300, "z": -0}',
    '{"a": {"b": [1, null, true, {"c": "\\" \\\\ \\n \\u0001"}]}, "": 0}',
    "[]",
    '"text"',
    "17",
    '{"null": null}',
)


def midnight() -> datetime:
    """The beginning of today in UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def noon(days: int) -> datetime:
    """Noon in UTC, some days ago."""
    return midnight() - timedelta(days=days, hours=-12)


def fill(connection: psycopg.Connection, days: int, *, microseconds: int = 0) -> None:
    """Add odd records of a day that is so many days ago, in one batch; NULLs are among them."""
    moment = noon(days)
    rows = [
        {
            "timestamp": moment + timedelta(microseconds=number * 1_000_001 + microseconds),
            "message": text,
            "exception": text,
            "service": text,
        }
        for number, text in enumerate(ODD_TEXTS)
    ]
    writer = insert(connection, *rows)
    for number, text in enumerate(ODD_JSON):
        connection.execute(
            "UPDATE dblog_logs SET extra_data = %s::jsonb, lineno = NULL WHERE writer_id = %s AND message = %s",
            [text, writer, ODD_TEXTS[number + 1]],
        )


def partition_of(database: Database, days: int) -> str:
    """The name of the partition of a day, made where it is missing."""
    with database.connect() as connection:
        found = connection.execute("SELECT dblog_make_partition(%s)", [noon(days)]).fetchone()
    assert found
    return str(found[0])


def table_of(database: Database) -> list[tuple[str]]:
    """Every row of the table, with all its columns, as PostgreSQL writes it."""
    with database.connect() as connection:
        rows = connection.execute('SELECT logs::text FROM dblog_logs AS logs ORDER BY "timestamp", id').fetchall()
    return [(text,) for (text,) in rows]


def drop(database: Database, partition: str) -> None:
    """Remove a partition with its rows."""
    with database.connect() as connection:
        connection.execute(f'DROP TABLE "{partition}"'.encode())


def archive_at(folder: Path | str) -> Archive:
    """The archive of the tables of a test."""
    return Archive.at(str(folder), "dblog")


def take(
    kept: tuple[sa.Connection, Names], partition: str, archive: Archive, form: FormatName, *, thorough: bool = False
) -> list[Archived]:
    """Archive a partition."""
    connection, names = kept
    return list(archive_partition(connection.engine, names, partition, archive, form, thorough=thorough))


def bring_back(kept: tuple[sa.Connection, Names], archive: Archive) -> list[Restored]:
    """Restore everything."""
    return list(restore(*kept, archive, archive.files(), keep_days=7))
