"""The rows of a partition, day by day, as the server sends them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import sqlalchemy as sa
from psycopg import Connection, Cursor, sql

from dblog.archive.manifest import ArchivedColumn
from dblog.errors import DblogError
from dblog.store.engine import verbatim
from dblog.store.quoting import in_calendar

PIECE_ROWS: Final = 50_000
PIECE_BYTES: Final = 16 * 1024 * 1024
"""What is in memory at a time, whichever comes first, or one row where that is larger."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How many rows a relation has, and from when to when."""

    rows: int
    first: datetime
    last: datetime


def columns_of(connection: sa.Connection, table: str) -> tuple[ArchivedColumn, ...]:
    """The columns of a table, whoever added them; its name is quoted."""
    return tuple(ArchivedColumn(*row) for row in connection.execute(_COLUMNS, {"table": table}))


_COLUMNS = sa.text(
    """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    """
)


def days_of(connection: sa.Connection, table: str) -> Iterator[date]:
    """The UTC days of which a table has rows, oldest first: one look at its index for each.

    Raises:
        DblogError: It has a row of a time before the year 1 or after the year 9999, which no file can be for.
    """
    odd = connection.scalar(verbatim(_BEYOND.format(table=table)))
    if odd is not None:
        raise DblogError(f"{table} cannot be archived: it has a row of {odd}; accepted: times of the years 1 to 9999")
    day = connection.scalar(verbatim(f'SELECT min("timestamp") FROM {table}'))
    while day is not None:
        found = day.astimezone(UTC).date()
        yield found
        if found == date.max:
            return
        after = midnight(found + timedelta(days=1)).isoformat()
        day = connection.scalar(verbatim(f"""SELECT min("timestamp") FROM {table} WHERE "timestamp" >= '{after}'"""))


_BEYOND: Final = f"""
    SELECT CAST(moment AS text)
    FROM (SELECT min("timestamp") FROM {{table}} UNION ALL SELECT max("timestamp") FROM {{table}}) AS ends (moment)
    WHERE NOT {in_calendar("moment")}
"""


def extent_of(connection: sa.Connection, source: str) -> Extent | None:
    """The extent of a relation; None where it has no rows."""
    statement = f'SELECT count(*), min("timestamp"), max("timestamp") FROM {source} AS counted'
    rows, first, last = connection.execute(verbatim(statement)).one()
    return Extent(rows, first.astimezone(UTC), last.astimezone(UTC)) if rows else None


def rows_of_day(table: str, day: date) -> str:
    """The relation that has the rows of a UTC day; it wants an alias."""
    since = midnight(day)
    until = f"\"timestamp\" < '{(since + timedelta(days=1)).isoformat()}'" if day < date.max else "true"
    return f"(SELECT * FROM {table} WHERE \"timestamp\" >= '{since.isoformat()}' AND {until})"


def pieces(cursor: Cursor, statement: sql.Composed) -> Iterator[tuple[bytes, int]]:
    """What a COPY sends: some whole rows, and how many they are."""
    rows: list[bytes] = []
    size = 0
    with cursor.copy(statement) as copy:
        for row in copy:  # libpq hands over one row at a time
            rows.append(bytes(row))
            size += len(rows[-1])
            if len(rows) >= PIECE_ROWS or size >= PIECE_BYTES:
                yield b"".join(rows), len(rows)
                rows, size = [], 0
    if rows:
        yield b"".join(rows), len(rows)


def driver_of(connection: sa.Connection) -> Connection:
    """The connection of the driver, which alone knows COPY, in the transaction that is open."""
    found = connection.connection.driver_connection
    assert isinstance(found, Connection)  # noqa: S101 - what `open_engine` makes
    return found


def midnight(day: date) -> datetime:
    """The first moment of a UTC day."""
    return datetime.combine(day, time.min, UTC)
