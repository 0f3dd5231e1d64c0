"""Figures about a window of time."""

from datetime import UTC, datetime, timedelta

from records import at, insert
from servers import Database

from dblog.reading.filters import parse
from dblog.reading.query import Query
from dblog.reading.summary import Summary, sizes, summarize
from dblog.reading.window import Window
from dblog.store.engine import reading

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
ERROR = {"level": "ERROR", "level_no": 40}


def summary(database: Database, text: str = "", top: int = 10) -> Summary:
    """The figures of the last day."""
    with reading(database.settings.database) as (connection, names):
        return summarize(connection, names, Query(parse(text), Window(at(days=1), at(days=-1)), 0), top=top)


def test_records_are_counted_by_level_logger_and_hour(database: Database) -> None:
    """One summary counts the same records three ways: gravest level first, busiest logger first, hours in order."""
    with database.connect() as connection:
        insert(
            connection,
            {"timestamp": HOUR, "logger_name": "b"},
            {"timestamp": HOUR + timedelta(minutes=59), "logger_name": "a"} | ERROR,
            {"timestamp": HOUR + timedelta(hours=2), "logger_name": "b"},
            {"timestamp": at(days=3), "logger_name": "outside the window"},
        )
    found = summary(database)
    assert found == Summary(
        levels=(("ERROR", 1), ("INFO", 2)),
        loggers=(("b", 2), ("a", 1)),
        hours=((HOUR, 2), (HOUR + timedelta(hours=2), 1)),
    )
    assert found.records == 3


def test_a_filter_and_top_narrow_the_figures(database: Database) -> None:
    """Only matching records are counted, and only the busiest loggers are named."""
    with database.connect() as connection:
        insert(connection, *({"logger_name": name} | ERROR for name in "abbcc"), {"logger_name": "d"})
    found = summary(database, "level>=error", top=2)
    assert found.records == 5
    assert found.loggers == (("b", 2), ("c", 2))


def test_loggers_need_not_be_counted(database: Database) -> None:
    """With a top of 0 no logger is named, and everything else is counted all the same."""
    with database.connect() as connection:
        insert(connection, {}, ERROR)
    found = summary(database, top=0)
    assert (found.records, found.loggers) == (2, ())


def test_levels_are_ordered_by_their_numbers(database: Database) -> None:
    """The gravest level comes first, also where its name says nothing about it."""
    with database.connect() as connection:
        insert(connection, {"level": "AUDIT", "level_no": 35}, {"level": "ZERO", "level_no": 1}, {}, ERROR)
    assert [name for name, _ in summary(database).levels] == ["ERROR", "AUDIT", "INFO", "ZERO"]


def test_an_empty_window_has_no_figures(database: Database) -> None:
    """Where nothing matches, there are no levels, loggers or hours."""
    assert summary(database) == Summary((), (), ())


def test_partitions_have_sizes(database: Database) -> None:
    """Every partition of the records is listed, the latest first, with its size and the planner's number of rows."""
    with database.connect() as connection:
        insert(connection, *({"message": "x" * 100} for _ in range(50)))
        connection.execute("ANALYZE dblog_logs")
    with reading(database.settings.database) as (connection_to_read, names):
        found = sizes(connection_to_read, names)
    today = next(part for part in found if part.holds(datetime.now(UTC)))
    assert today.rows == 50
    assert today.size > 0
    assert [part.name for part in found] == sorted((part.name for part in found), reverse=True)
    assert {part.table for part in found} == {"logs"}
