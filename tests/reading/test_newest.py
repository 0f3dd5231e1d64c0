"""Queries over real partitions: the right rows, in order, without touching other partitions."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from records import at, fill, insert
from servers import Database

from dblog.reading.filters import parse
from dblog.reading.query import CHUNK, Query, newest, records
from dblog.reading.window import Window
from dblog.store.engine import reading
from dblog.store.schema import logs_table


def window(*, since: datetime, until: datetime | None = None) -> Window:
    """The window from a moment to another, or to tomorrow."""
    return Window(since, until or datetime.now(UTC) + timedelta(days=1))


def messages(database: Database, query: Query) -> list[str]:
    """The messages of the records that a query finds."""
    with reading(database.settings.database) as (connection, names):
        return [row["message"] for row in records(connection, logs_table(names), query)]


def plan(database: Database, query: Query) -> str:
    """The plan as PostgreSQL makes it for the very statement and its parameters."""
    with reading(database.settings.database) as (connection, names):
        compiled = query.select(logs_table(names)).compile(connection)
        rows = connection.exec_driver_sql(f"EXPLAIN {compiled}", compiled.params)
        return "\n".join(row[0] for row in rows)


def test_the_newest_come_oldest_first(database: Database) -> None:
    """A limit keeps the newest records of the window, and they are shown in the order of time."""
    with database.connect() as connection:
        fill(connection, 50, start=at(hours=2), step=timedelta(minutes=1))
    query = Query(parse(""), window(since=at(days=1)), 3)
    assert messages(database, query) == ["row 48", "row 49", "row 50"]


def test_without_a_limit_all_come(database: Database) -> None:
    """A limit of 0 streams every record of the window, in order, over several chunks."""
    count = 2 * CHUNK + 7
    with database.connect() as connection:
        fill(connection, count, start=at(hours=12), step=timedelta(seconds=10))
    query = Query(parse(""), window(since=at(days=1)), 0)
    assert messages(database, query) == [f"row {number}" for number in range(1, count + 1)]


def test_a_window_has_its_beginning_but_not_its_end(database: Database) -> None:
    """Two windows that meet share no record and leave none out."""
    border = at(hours=1)
    with database.connect() as connection:
        insert(connection, {"message": "on the border", "timestamp": border})
    term = parse("")
    assert messages(database, Query(term, window(since=at(hours=2), until=border), 10)) == []
    assert messages(database, Query(term, window(since=border, until=at(minutes=1)), 10)) == ["on the border"]


@pytest.mark.parametrize("limit", [10, 0])
def test_partitions_outside_the_window_are_not_touched(database: Database, limit: int) -> None:
    """The plan of a query holds the partitions of its window and no others."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
    with database.connect() as connection:
        fill(connection, 2000, start=day - timedelta(days=3), step=timedelta(minutes=4))
    query = Query(parse("row"), Window(day, day + timedelta(hours=20)), limit)
    shown = plan(database, query)
    assert f"dblog_logs_p{day:%Y%m%d}" in shown
    assert shown.count("dblog_logs_p") - shown.count(f"dblog_logs_p{day:%Y%m%d}") == 0


def test_the_index_of_warnings_serves_levels(database: Database) -> None:
    """`level>=error` is answered from the index of warnings instead of all records."""
    start = at(hours=20)
    with database.connect() as connection:
        fill(connection, 20_000, start=start, step=timedelta(seconds=3))
        connection.execute("DELETE FROM dblog_logs WHERE level_no >= 40 AND id % 200 <> 0")
        connection.execute("ANALYZE dblog_logs")
        partial = {
            name
            for (name,) in connection.execute(
                "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL"
            )
        }
    shown = plan(database, Query(parse("level>=error"), window(since=start), 1000))
    assert any(name in shown for name in partial), shown


def test_the_newest_record_is_found(database: Database) -> None:
    """The newest timestamp is that of the latest record of all partitions; an empty table has none."""
    with reading(database.settings.database) as (connection, names):
        assert newest(connection, logs_table(names)) is None
    with database.connect() as connection:
        latest = at(days=4)
        insert(connection, {"timestamp": at(days=9)}, {"timestamp": latest})
    with reading(database.settings.database) as (connection, names):
        assert newest(connection, logs_table(names)) == latest


def test_reading_cannot_write(database: Database) -> None:
    """The connection of a query refuses to change anything."""
    with reading(database.settings.database) as (connection, names), pytest.raises(sa.exc.InternalError):
        connection.execute(sa.delete(logs_table(names)))
