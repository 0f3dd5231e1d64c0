"""`dblog archive`, `dblog restore` and `dblog query --archive`: what they print, and their mistakes."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from archived import drop, fill, midnight, noon, partition_of, table_of
from servers import Database

from dblog.archive.selection import choose
from dblog.cli.main import run
from dblog.errors import UsageError
from dblog.store.names import Table
from dblog.store.partitions import Partition


def call(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """What a command prints on stdout and stderr."""
    assert run(arguments) == code
    out, err = capsys.readouterr()
    return out, err


def test_from_the_table_to_the_archive_and_back(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is over is archived, checked, found and restored, each with figures for programs."""
    with database.connect() as connection:
        fill(connection, 20)
        fill(connection, 0)
    before, partition, folder = table_of(database), partition_of(database, 20), str(tmp_path / "archive")
    place = [folder, "--dsn", database.dsn, "--json"]
    (done,) = json.loads(call(capsys, "archive", *place, "--format", "jsonl")[0])
    assert (done["partition"], done["rows"], done["written"]) == (partition, 10, 10)
    assert call(capsys, "archive", folder, "--dsn", database.dsn)[0].split()[-3:] == ["0", "0", "bytes"]
    assert json.loads(call(capsys, "archive", folder, "--verify", "--json")[0])["rows"] == 10
    assert call(capsys, "archive", folder, "--verify")[0].startswith("1 file with 10 rows")
    found, _ = call(capsys, "query", "--archive", folder, "--since", "30d", "-o", "jsonl", "-n", "0")
    table, _ = call(capsys, "query", "--dsn", database.dsn, "--since", "30d", "--until", "2d", "-o", "jsonl", "-n", "0")
    assert found == table != ""
    drop(database, partition)
    (back,) = json.loads(call(capsys, "restore", *place, "--from", str(noon(20).date()))[0])
    assert (back["day"], back["rows"], back["restored"]) == (str(noon(20).date()), 10, 10)
    assert table_of(database) == before


def test_an_empty_answer_says_what_the_archive_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing matches, stderr says which days there are; nothing to restore, or no archive, is an error."""
    folder = tmp_path / "archive"
    out, err = call(capsys, "query", "--archive", str(folder), "-o", "json", code=1)
    assert (out, err.count("\n")) == ("", 1)
    assert f"archive {folder}/dblog_logs: nothing is there: mistyped" in err
    (folder / "dblog_logs" / "date=never").mkdir(parents=True)
    assert f"the archive {folder}/dblog_logs is empty" in call(capsys, "query", "--archive", str(folder))[1]
    (folder / "dblog_logs" / "date=2026-01-01").mkdir()
    assert "has 2026-01-01 to 2026-01-01" in call(capsys, "query", "--archive", str(folder))[1]
    _, err = call(capsys, "restore", str(folder), "--dsn", "host=nowhere", code=1)
    assert "there is nothing to restore of these days; it has 2026-01-01 to 2026-01-01" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["archive", "--dsn", "host=nowhere"], "set logging.database.archive"),
        (["archive", "x", "--before", "yesterday"], "accepted: a day in UTC"),
        (
            ["restore", "x", "--from", "2026-02-01", "--to", "2026-01-01", "--dsn", "host=x"],
            "--from: 2026-02-01 is after",
        ),
        (["query", "--archive", "gs://bucket"], "accepted: a directory, or s3://bucket/prefix"),
    ],
)
def test_mistakes_are_named(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    """A wrong day, place or order is a mistake of one line."""
    _, err = call(capsys, *arguments, code=2)
    assert said in err
    assert err.count("\n") == 1


def part(name: str, days: int, *, ours: bool = True, table: Table = "logs") -> Partition:
    """A partition of the day that is so many days ago."""
    start = midnight() - timedelta(days=days)
    return Partition(name, table, start, start + timedelta(days=1), False, ours, False, 0, 0)


def test_what_is_over_is_chosen() -> None:
    """By default what is over, before a day what ends before it, by name whatever is named, and never the ledger."""
    now = midnight() + timedelta(hours=1)
    parts = [
        part("old", 3),
        part("late", 1),
        part("today", 0),
        part("other", 9, ours=False),
        part("b", 9, table="batches"),
    ]

    def chosen(before: date | None = None, *named: str) -> list[str]:
        return [found.name for found in choose(parts, now, before=before, named=named)]

    assert chosen() == ["old", "late"]
    assert chosen((midnight() - timedelta(days=2)).date()) == ["old"]
    assert chosen((midnight() + timedelta(days=9)).date()) == ["old", "late"]
    assert chosen(None, "today", "other") == ["today", "other"]
    with pytest.raises(UsageError, match="'b' is no partition of the records"):
        chosen(None, "b")
