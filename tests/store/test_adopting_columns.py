"""What becomes of the columns of an adopted table, whatever their types, and which tables are refused."""

from datetime import UTC, datetime
from typing import Any

import pytest
from ancestor import make_table
from psycopg.rows import dict_row
from servers import Database

from dblog.errors import UsageError
from dblog.store.adopting.run import adopt, settled_bound
from dblog.store.adopting.source import find_source
from dblog.store.engine import keeping


def adopt_rows(database: Database, columns: str, *rows: str) -> list[dict[str, Any]]:
    """Make a table, adopt it, and return its rows as they are then."""
    make_table(database, columns, *rows)
    with keeping(database.settings.database) as (connection, names):
        source = find_source(connection, names, "app_logs")
        bound = settled_bound(connection, source, wait=0, waiting=lambda: None)
        list(adopt(connection, names, source, zone="Europe/Berlin", batch_rows=100, bound=bound))
    with database.connect() as connection:
        return connection.cursor(row_factory=dict_row).execute("SELECT * FROM dblog_logs ORDER BY id").fetchall()


def test_times_without_a_zone_are_read_in_the_one_that_is_given(database: Database) -> None:
    """A `timestamp without time zone` is a time of the zone that was named, in summer and in winter."""
    columns = "timestamp timestamp, level text, message text, created_at timestamp"
    rows = adopt_rows(
        database,
        columns,
        "'2026-07-20 12:00', 'INFO', 'summer', '2026-07-20 12:01'",
        "'2026-01-20 12:00', 'INFO', 'winter', NULL",
    )
    assert [row["timestamp"] for row in rows] == [
        datetime(2026, 7, 20, 10, tzinfo=UTC),
        datetime(2026, 1, 20, 11, tzinfo=UTC),
    ]
    assert rows[0]["created_at"] == datetime(2026, 7, 20, 10, 1, tzinfo=UTC)
    assert rows[1]["created_at"] is not None


def test_a_creation_beyond_the_calendar_is_kept_beside(database: Database) -> None:
    """What no program can read is not stored as a time: the row has the time of adopting, and `original_created_at`."""
    odd = ("infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00")
    columns = "timestamp timestamptz, level text, message text, created_at timestamptz"
    texts = (*odd, "0001-01-02 00:00:00+00", "9999-12-31 00:00:00+00")
    rows = adopt_rows(database, columns, *(f"'2026-10-20 12:00Z', 'INFO', '', '{text}'" for text in texts))
    assert [(row["extra_data"] or {}).get("original_created_at") for row in rows] == [*odd, None, None]
    assert [row["created_at"] for row in rows[4:]] == [
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ]


def test_times_that_nobody_can_believe_are_kept_beside(database: Database) -> None:
    """A wrong clock makes no partition: such a row has the time of its creation, and `original_timestamp`."""
    rows = adopt_rows(
        database,
        "timestamp timestamptz, level text, message text, created_at timestamptz",
        "'1970-01-01 00:00:01Z', 'INFO', 'epoch', '2026-10-20 12:00Z'",
        "'infinity', 'INFO', 'never', '2026-10-20 12:00Z'",
        "NULL, 'INFO', 'none', '2026-10-20 12:00Z'",
        "'3000-01-01Z', 'INFO', 'future', NULL",
    )
    noon = datetime(2026, 10, 20, 12, tzinfo=UTC)
    assert [row["timestamp"] for row in rows[:3]] == [noon] * 3
    assert [(row["extra_data"] or {}).get("original_timestamp") for row in rows] == [
        "1.000000", "Infinity", None, "32503680000.000000"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "number", "name"),
    [
        ("text", "'WARN'", 30, "WARNING"),
        ("text", "' error '", 40, "ERROR"),
        ("varchar(5)", "'fatal'", 50, "CRITICAL"),
        ("char(10)", "'INFO'", 20, "INFO"),
        ("text", "'25'", 25, "Level 25"),
        ("text", "'Level 15'", 15, "Level 15"),
        ("text", "'verbose'", 0, "verbose"),
        ("text", "NULL", 0, "NOTSET"),
        ("integer", "30", 30, "WARNING"),
        ("smallint", "35", 35, "Level 35"),
        ("numeric", "10.0", 10, "DEBUG"),
    ],
)
def test_levels(database: Database, kind: str, value: str, number: int, name: str) -> None:
    """A level is a name or a number, in any type and spelling; the other one is derived, and no name is lost."""
    (row,) = adopt_rows(database, f"timestamp timestamptz, level {kind}, message text", f"now(), {value}, 'm'")
    assert (row["level_no"], row["level"]) == (number, name)


def test_a_number_beside_the_level_counts_for_names_that_nobody_knows(database: Database) -> None:
    """The name of an application's own level keeps the number that the table has for it."""
    (row,) = adopt_rows(
        database, "timestamp timestamptz, level text, level_no integer, message text", "now(), 'audit', 35, 'm'"
    )
    assert (row["level_no"], row["level"], row["extra_data"]) == (35, "audit", None)


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("jsonb", "'{\"a\": [1, null]}'", {"a": [1, None]}),
        ("json", "'{\"a\": 1}'", {"a": 1}),
        ("text", "'{\"a\": 1}'", {"a": 1}),
        ("text", "'{broken'", {"extra_data": "{broken"}),
        ("text", '\'{"a": "\\u0000"}\'', {"extra_data": '{"a": "\\u0000"}'}),
        ("jsonb", "'[1]'", {"extra_data": [1]}),
        ("jsonb", "'null'", None),
        ("jsonb", "'{}'", None),
        ("jsonb", "NULL", None),
    ],
)
def test_extra_data(database: Database, kind: str, value: str, kept: object) -> None:
    """What is a JSON object stays one; anything else is kept below a key, also text that is no JSON."""
    columns = f"timestamp timestamptz, logger_name text, message text, extra_data {kind}"
    (row,) = adopt_rows(database, columns, f"now(), 'app', 'm', {value}")
    assert row["extra_data"] == kept


def test_what_has_no_column_goes_into_extra_data(database: Database) -> None:
    """Columns of the application's own, and values that do not fit, are kept; NULL is not, and missing columns are."""
    (row,) = adopt_rows(
        database,
        'timestamp timestamptz, logger_name text, message text, extra_data jsonb, "request: id" uuid, cost numeric, '
        "tags text[], gone text, thread_id text, process_id bigint, hostname text, lineno text",
        "now(), NULL, NULL, '{\"cost\": \"stays\"}', '00000000-0000-4000-8000-000000000001', 1.5, ARRAY['a'], NULL, "
        "'Main', 99999999999, repeat('h', 300), ' 12 '",
    )
    assert row["extra_data"] == {
        "request: id": "00000000-0000-4000-8000-000000000001",
        "cost": "stays",
        "tags": ["a"],
        "thread_id": "Main",
        "process_id": 99999999999,
        "hostname": "h" * 300,
    }
    assert (row["thread_id"], row["process_id"], row["hostname"], row["lineno"]) == (None, None, "h" * 250, 12)
    assert (row["logger_name"], row["message"], row["level"], row["level_no"]) == ("root", "", "NOTSET", 0)


@pytest.mark.parametrize(
    ("statement", "table", "reason"),
    [
        ("", "nothing_here", "there is no table nothing_here"),
        ("", "a b c;", "a b c;"),
        ("CREATE VIEW v AS SELECT 1 AS id", "v", "is no table"),
        ("CREATE TABLE t (id int PRIMARY KEY, title text)", "t", "has no column timestamp, message"),
        ("CREATE TABLE t (id int PRIMARY KEY, timestamp timestamptz, message text)", "t", "level and logger_name"),
        ("CREATE TABLE t (id uuid PRIMARY KEY, timestamp date, message text, level text)", "t", "id is uuid"),
        ("CREATE TABLE t (id int PRIMARY KEY, timestamp text, message text, level text)", "t", "timestamp is text"),
        ("CREATE TABLE t (id int, timestamp date, message text, level text)", "t", "no index that begins with id"),
        (
            "CREATE TABLE t (id int, timestamp date, message text, level text); CREATE INDEX ON t (id); "
            "INSERT INTO t (message) VALUES ('x')",
            "t",
            "rows without an id",
        ),
        ("", "dblog_logs", "belongs to dblog"),
    ],
)
def test_what_is_no_such_table_is_refused(database: Database, statement: str, table: str, reason: str) -> None:
    """A table that cannot be adopted is refused with what is wrong with it, before anything is read."""
    with database.connect() as connection:
        connection.execute(statement.encode())
    with keeping(database.settings.database) as (connection, names), pytest.raises(UsageError, match=reason):
        find_source(connection, names, table)
