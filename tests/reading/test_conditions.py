"""What filters select from real tables."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from records import insert
from servers import Database

from dblog.reading.conditions import condition
from dblog.reading.filters import parse
from dblog.store.engine import reading
from dblog.store.names import Names
from dblog.store.schema import logs_table

WRITER = UUID("12345678-9abc-4def-8123-456789abcdef")

ROWS: tuple[dict[str, Any], ...] = (
    {"message": "plain", "logger_name": "app", "level": "DEBUG", "level_no": 10},
    {"message": "Connection RESET by peer", "logger_name": "app.db", "level": "WARN", "level_no": 30, "lineno": 7},
    {"message": "100% _done\\", "logger_name": "app.db.pool", "level": "ERROR", "level_no": 40, "service": "api"},
    {
        "message": "failed",
        "logger_name": "app.dbx",
        "level": "NOTICE",
        "level_no": 25,
        "exception_type": "app.errors.PaymentError",
        "exception": "Traceback\n  File x\napp.errors.PaymentError: no connection",
    },
    {"message": "number", "extra_data": {"user_id": 42, "http": {"status": 500}, "ms": 1.5, "on": True, "none": None}},
    {"message": "text", "extra_data": {"user_id": "42", "http.status": 404, "ms": "slow", "tags": ["a", "b"]}},
    {"message": "odd host", "hostname": "web*1", "thread_name": "Thread-1 (worker)", "process_id": 2_147_483_647},
)


@pytest.fixture
def rows(database: Database) -> Database:
    """A database that holds `ROWS`."""
    with database.connect() as connection:
        insert(connection, *ROWS, writer=WRITER)
    return database


def selected(database: Database, text: str) -> list[str]:
    """The messages of the rows that a filter selects."""
    with reading(database.settings.database) as (connection, names):
        return select(connection, names, text)


def select(connection: sa.Connection, names: Names, text: str) -> list[str]:
    """The same, over a connection that there is."""
    logs = logs_table(names)
    chosen = sa.select(logs.c.message).where(condition(parse(text), logs)).order_by(logs.c.id)
    return list(connection.scalars(chosen))


ALL = [row["message"] for row in ROWS]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ALL),
        ("plain", ["plain"]),
        ('"connection reset"', ["Connection RESET by peer"]),
        ("connection", ["Connection RESET by peer", "failed"]),
        ("-connection -number", ["plain", "100% _done\\", "text", "odd host"]),
        ('"0% _d"', ["100% _done\\"]),
        ("%", ["100% _done\\"]),
        ("_", ["100% _done\\"]),
        ("\\", ["100% _done\\"]),
        ("level>=warning", ["Connection RESET by peer", "100% _done\\"]),
        ("level:warning", ["Connection RESET by peer"]),
        ("level:notice,10", ["plain", "failed"]),
        ("level:NOT*", ["failed"]),
        ("level>=25 level<30", ["failed"]),
        ("logger:app.db", ["Connection RESET by peer"]),
        ("logger:app.db.*", ["Connection RESET by peer", "100% _done\\"]),
        ("logger:app.db*", ["Connection RESET by peer", "100% _done\\", "failed"]),
        ("service:api", ["100% _done\\"]),
        ("-service:api plain", ["plain"]),
        ("service:*", ["100% _done\\"]),
        ("-exception:* failed", []),
        ("exception:app.errors.PaymentError", ["failed"]),
        ("exception:paymenterror*no", ["failed"]),
        ("exception_type:*.PaymentError", ["failed"]),
        ("line:7", ["Connection RESET by peer"]),
        ("line<=7", ["Connection RESET by peer"]),
        ("-line:7 level>=30", ["100% _done\\"]),
        ("message:conn*peer", ["Connection RESET by peer"]),
        ('host:"web*1"', ["odd host"]),
        ("host:web-1", ALL[:-1]),
        ('thread:"Thread-1 (worker)"', ["odd host"]),
        ("pid:2147483647", ["odd host"]),
        ("pid:9223372036854775807", []),
        ("extra.user_id:42", ["number", "text"]),
        ('extra.user_id:"42"', ["number", "text"]),
        ("extra.user_id:42.0", ["number"]),
        ("extra.user_id>=42", ["number"]),
        ("extra.http.status:500,404", ["number", "text"]),
        ("extra.http.status>=404", ["number", "text"]),
        ("extra.ms>1", ["number"]),
        ("extra.ms:s*", ["text"]),
        ("extra.on:true", ["number"]),
        ("extra.none:*", ["number"]),
        ("-extra.user_id:* level:20", ["odd host"]),
        ("extra.tags.1:b", ["text"]),
        (f"writer:{WRITER}", ALL),
        ("writer:12345678-9ABC*", ALL),
        ("writer:ffffffff*", []),
        ("batch:1 id>0 plain OR (text level_no<30)", ["plain", "text"]),
    ],
)
def test_a_filter_selects_its_rows(rows: Database, text: str, expected: list[str]) -> None:
    """Each kind of term selects exactly the rows that it describes; wildcards of SQL are ordinary characters."""
    assert selected(rows, text) == expected


STORABLE = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAME = STORABLE.filter(bool)
JSON = st.one_of(
    STORABLE, st.integers(-(2**70), 2**70), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)


def quoted(text: str) -> str:
    """The text as a quoted phrase."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


Connections = tuple[psycopg.Connection, sa.Connection, sa.Table]


@pytest.fixture
def connections(database: Database) -> Iterator[Connections]:
    """One connection that writes and one that reads, for all examples: to connect takes longer than to ask."""
    with database.connect() as writing, reading(database.settings.database) as (connection, names):
        yield writing, connection, logs_table(names)


@given(message=NAME, name=NAME, key=NAME, value=JSON)
def test_a_row_is_found_by_its_own_values(
    connections: Connections, message: str, name: str, key: str, value: Any
) -> None:
    """Whatever a row holds, the quoted value finds it, and its negation does not."""
    writing, connection, logs = connections
    row = {"message": message, "logger_name": name, "service": name, "exception": message, "extra_data": {key: value}}
    writer = insert(writing, row)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    shown = repr(value) if number else quoted(str(value).lower() if value is True or value is False else value)
    terms = (
        quoted(message),
        f"message:{quoted(message)}",
        f"exception:{quoted(message)}",
        f"logger:{quoted(name)}",
        f"service:{quoted(name)}",
        f"extra.{quoted(key)}:{shown}",
        f"extra.{quoted(key)}:*",
    )
    texts = [f"{sign}{term}" for term in terms for sign in ("", "-")]
    counts = (sa.func.count().filter(condition(parse(text), logs)) for text in texts)
    with connection.begin():
        found = connection.execute(sa.select(*counts).where(logs.c.writer_id == writer)).one()
    assert dict(zip(texts, found, strict=True)) == {text: 0 if text.startswith("-") else 1 for text in texts}
