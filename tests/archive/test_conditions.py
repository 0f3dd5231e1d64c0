"""A filter means the same to DuckDB as to PostgreSQL."""

from typing import Any

import duckdb
import sqlalchemy as sa
from archived import fill, noon, partition_of, take
from hypothesis import given
from hypothesis import strategies as st
from records import insert
from servers import Database

from dblog.archive.catalog import Archive
from dblog.archive.conditions import Renderer
from dblog.reading.conditions import condition
from dblog.reading.filters import parse
from dblog.store.names import Names
from dblog.store.schema import logs_table

ROWS: tuple[dict[str, Any], ...] = (
    {"message": "plain", "logger_name": "app", "level": "DEBUG", "level_no": 10},
    {"message": "Connection RESET by peer", "logger_name": "app.db", "level": "WARN", "level_no": 30, "lineno": 7},
    {"message": "100% _done\\", "logger_name": "app.db.pool", "level": "ERROR", "level_no": 40, "service": "api"},
    {"message": "failed", "logger_name": "app.dbx", "level": "NOTICE", "level_no": 25, "exception_type": "a.PayError"},
    {"message": "traced", "exception": "Traceback\n  File x\na.PayError: no connection"},
    {"message": "number", "extra_data": {"user_id": 42, "http": {"status": 500}, "ms": 1.5, "on": True, "none": None}},
    {"message": "text", "extra_data": {"user_id": "42", "http.status": 404, "ms": "slow", "tags": ["a", "b"]}},
    {"message": "large", "extra_data": {"user_id": 2**53 + 1, "ms": -1e300, "a/b~c": "slash", "ü": "é"}},
    {"message": "odd host", "hostname": "web*1", "thread_name": "Thread-1 (worker)", "process_id": 2_147_483_647},
)

FILTERS = """
plain
"connection reset"
connection
-connection -number
"0% _d"
\\
level>=warning
level:warning
level:notice,10
level:NOT*
level>=25 level<30
logger:app.db
logger:app.db.*
logger:app.db*
service:*
-service:api plain
-exception:* failed
exception:a.PayError
exception:payerror*no
line:7
line<=7
-line:7 level>=30
message:conn*peer
host:"web*1"
thread:"Thread-1 (worker)"
pid:2147483647
extra.user_id:42
extra.user_id:"42"
extra.user_id:42.0
extra.user_id>=42
extra.user_id>9007199254740992
extra.user_id:9007199254740993
extra.user_id<9007199254740993
extra.http.status:500,404
extra.http.status>=404
extra.ms>1
extra.ms<0
extra.ms:s*
extra.on:true
extra.none:*
-extra.user_id:* level:20
extra.tags.1:b
extra."a/b~c":slash
extra.ü:é
writer:*
batch:1 id>0 plain OR (text level_no<30)
""".strip().splitlines()


def test_every_term_selects_the_rows_that_it_selects_in_the_table(
    database: Database, kept: tuple[sa.Connection, Names], archive: Archive
) -> None:
    """Each kind of term, on ordinary and odd rows, selects the same rows from a file as from the table."""
    with database.connect() as owner:
        fill(owner, 20)
        insert(owner, *({"timestamp": noon(20)} | row for row in ROWS))
    take(kept, partition_of(database, 20), archive, "parquet")
    connection, names = kept
    logs = logs_table(names)
    with duckdb.connect() as engine, connection.begin():
        path = f"{archive.store.location}/{archive.files()[0].path}"
        engine.execute("CREATE TABLE logs AS SELECT * FROM read_parquet($1)", [path])
        for text in FILTERS:
            chosen = sa.select(logs.c.id).where(condition(parse(text), logs)).order_by(logs.c.id)
            assert selected(engine, text) == list(connection.scalars(chosen)), text


def selected(engine: duckdb.DuckDBPyConnection, text: str) -> list[int]:
    """The ids of the rows that a filter selects."""
    renderer = Renderer()
    statement = f"SELECT id FROM logs WHERE {renderer.condition(parse(text))} ORDER BY id"
    return [number for (number,) in engine.execute(statement, renderer.parameters).fetchall()]


STORABLE = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@given(message=STORABLE, key=STORABLE, value=STORABLE)
def test_a_row_is_found_by_its_own_values(message: str, key: str, value: str) -> None:
    """Whatever a row holds, the quoted value finds it, and its negation does not."""
    with duckdb.connect() as engine:
        engine.execute(
            "CREATE TABLE logs AS SELECT 1 AS id, $1 AS message, NULL::VARCHAR AS exception, $2 AS logger_name, "
            "json_object($3, $2)::VARCHAR AS extra_data",
            [message, value, key],
        )
        for term in (
            quoted(message),
            f"message:{quoted(message)}",
            f"logger:{quoted(value)}",
            f"extra.{quoted(key)}:{quoted(value)}",
            f"extra.{quoted(key)}:*",
        ):
            assert selected(engine, term) == [1], term
            assert selected(engine, f"-{term}") == [], term


def quoted(text: str) -> str:
    """The text as a quoted phrase."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
