"""The archive answers a filter as the database does, and other engines read it."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from archived import archive_at, fill, noon, partition_of, take
from records import insert
from servers import Database

from dblog.archive.catalog import Archive
from dblog.archive.searching import files_of, search
from dblog.errors import DblogError
from dblog.reading.filters import parse
from dblog.reading.query import Query, records
from dblog.reading.window import Window
from dblog.store.names import Names
from dblog.store.schema import logs_table

Kept = tuple[sa.Connection, Names]

ROWS: tuple[dict[str, Any], ...] = (
    {"message": "failed", "level": "ERROR", "level_no": 40, "exception": "Traceback\na.PayError: no connection"},
    {"message": "number", "extra_data": {"user_id": 42, "http": {"status": 500}, "on": True, "none": None}},
)


@pytest.fixture
def stored(database: Database, kept: Kept, tmp_path: Path) -> dict[str, Archive]:
    """The same two days in two archives, one of each format, and still in the table."""
    with database.connect() as connection:
        for days in (20, 21):
            fill(connection, days)
            insert(connection, *({"timestamp": noon(days) + timedelta(hours=1)} | row for row in ROWS))
    archives = {form: archive_at(tmp_path / form) for form in ("parquet", "jsonl")}
    for form, archive in archives.items():
        for days in (20, 21):
            take(kept, partition_of(database, days), archive, form)  # type: ignore[arg-type]
    return archives


def query(text: str, *, limit: int = 0, first: int = 30, last: int = 1) -> Query:
    """A query for the records from one day to another, as days before now."""
    now = datetime.now(UTC)
    return Query(parse(text), Window(now - timedelta(days=first), now - timedelta(days=last)), limit)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_an_archive_answers_as_the_table_does(stored: dict[str, Archive], kept: Kept, form: str) -> None:
    """A filter selects the same records from the files as from the table, with the same values of the same types."""
    connection, names = kept
    logs = logs_table(names)
    for text in ("", "level>=error connection", "extra.http.status:500 -extra.none:1 writer:*"):
        asked = query(text)
        expected = [dict(row) for row in records(connection, logs, asked)]
        assert list(search(stored[form], asked)) == expected, text
    newest = query("", limit=3)
    assert list(search(stored[form], newest)) == [dict(row) for row in records(connection, logs, newest)]


def test_only_the_days_of_the_window_are_read(stored: dict[str, Archive]) -> None:
    """A file of another day may be gone: neither it nor its manifest is looked at."""
    archive = stored["parquet"]
    for path in Path(archive.store.location).rglob(f"date={noon(21).date()}/*"):
        path.write_bytes(b"garbage")
    around = Window(noon(20) - timedelta(hours=1), noon(20) + timedelta(hours=2))
    window = Query(parse(""), around, 0)
    assert [file.day for file in files_of(archive, window)] == [noon(20).date()]
    assert len(list(search(archive, window))) == 10 + len(ROWS)


@pytest.mark.parametrize("name", ["duckdb", "pyarrow.fs"])
def test_a_missing_extra_is_named(archive: Archive, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without the libraries the error says what to install."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DblogError, match=r"pip install .dblog\[archive\]"):
        list(search(archive, query(""))) if name == "duckdb" else archive_at("s3://bucket")


def test_a_file_that_is_gone_is_named(stored: dict[str, Archive]) -> None:
    """A search that cannot read a file says which archive, in one line."""
    file = stored["jsonl"].files()[0]
    Path(stored["jsonl"].store.location, file.path).unlink()
    with pytest.raises(DblogError, match="cannot be searched") as raised:
        list(search(stored["jsonl"], query("")))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("form", "reader"), [("parquet", "read_parquet('{}/*/*/*.parquet')"), ("jsonl", "read_json('{}/*/*/*.jsonl.gz')")]
)
def test_other_engines_read_the_files(stored: dict[str, Archive], form: str, reader: str) -> None:
    """A folder is a table to DuckDB, with the day as a column and nothing counted twice."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT date::text, count(*), count(DISTINCT id) FROM {reader.format(stored[form].store.location)} "
            "GROUP BY date ORDER BY date"
        ).fetchall()
    assert [(day, rows, ids) for day, rows, ids in found] == [
        (str(noon(days).date()), 10 + len(ROWS), 10 + len(ROWS)) for days in (21, 20)
    ]
