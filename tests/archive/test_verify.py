"""`dblog archive --verify`: it names everything that is damaged, and what it names can be mended."""

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import pytest
import sqlalchemy as sa
from archived import archive_at, bring_back, fill, partition_of, table_of, take
from servers import Database

from dblog.archive.catalog import Archive
from dblog.archive.stores import LocalStore
from dblog.cli.main import run
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]

DAYS = (20, 21, 22, 23)


@pytest.fixture
def harmed(database: Database, kept: Kept, archive: Archive) -> Archive:
    """An archive of four days: a file is cut, the next has a damaged manifest, one is a folder, and one is whole."""
    with database.connect() as connection:
        for days in DAYS:
            fill(connection, days)
    for days in DAYS:
        take(kept, partition_of(database, days), archive, "jsonl")
    cut, lost, folder, _ = (Path(archive.store.location, file.path) for file in archive.files())
    cut.write_bytes(cut.read_bytes()[:-10])
    manifest_of(lost).write_text("{", encoding="utf-8")
    folder.unlink()
    folder.mkdir()
    return archive


def manifest_of(path: Path) -> Path:
    """The manifest of a file."""
    return path.with_name(f"_{path.name}.json")


def test_every_damaged_file_is_named(harmed: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each on stderr, the sum of the others on stdout, and the exit code 1; all of it in JSON, too."""
    assert run(["archive", "--verify", harmed.store.location]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    reasons = ("the manifest is damaged", "the archived file is damaged", "the file is a folder")
    assert sorted(reason in line for line in lines for reason in reasons) == [False] * 6 + [True] * 3
    assert all(line.startswith(f"dblog: error: {harmed.where}/date=") for line in lines)
    assert out.startswith("1 file with 10 rows as their manifests say")
    assert run(["archive", "--verify", "--json", harmed.store.location]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["files"], found["rows"]) == (1, 10)
    named = {f"dblog: error: {harmed.store.location}/{bad['file']}: {bad['reason']}" for bad in found["damaged"]}
    assert named == set(lines)


def test_nothing_is_restored_and_all_are_named(
    harmed: Archive, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """A restore tells of every damaged file at once, and that it did nothing."""
    with database.connect() as connection:
        connection.execute("TRUNCATE dblog_logs")
    assert run(["restore", harmed.store.location, "--dsn", database.dsn]) == 1
    *named, last = capsys.readouterr().err.splitlines()
    assert len(named) == 3
    assert "3 files of these days cannot be used, and nothing was restored" in last
    assert table_of(database) == []


def test_what_is_still_in_the_table_is_archived_again(harmed: Archive, database: Database, kept: Kept) -> None:
    """Once the damaged files and their manifests are removed, the next run writes what is still in the table anew."""
    before = table_of(database)
    cut, lost, folder = sorted(Path(harmed.where).glob("date=*/dblog*"))[:3]
    folder.rmdir()
    for path in (cut, lost):
        path.unlink()
    for path in (cut, lost, folder):
        manifest_of(path).unlink()
    assert run(["archive", harmed.store.location, "--dsn", database.dsn]) == 0
    assert run(["archive", "--verify", harmed.store.location]) == 0
    with database.connect() as connection:
        connection.execute("TRUNCATE dblog_logs")
    bring_back(kept, archive_at(harmed.store.location))
    assert table_of(database) == before


def test_a_file_whose_manifest_is_lost_is_told_of(harmed: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that no manifest speaks of may be those of a run that goes on: they are a note and no damage."""
    for path in Path(harmed.where).glob("date=*/_*.json"):
        path.unlink()
    assert run(["archive", "--verify", harmed.store.location]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 4
    assert all(line.startswith("dblog: note: ") and "cut short, or its manifest is lost" in line for line in notes)
    assert run(["archive", "--verify", "--json", harmed.store.location]) == 0
    found = json.loads(capsys.readouterr().out)
    assert all(f"{harmed.store.location}/{path}" in line for path, line in zip(found["strays"], notes, strict=True))


@pytest.mark.parametrize("made", [False, True])
def test_a_place_without_an_archive_is_no_empty_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: bool
) -> None:
    """A folder that is mistyped, or a disk that is not mounted, is an error of one line; so it is for a restore."""
    place = tmp_path / "mistyped"
    if made:
        place.mkdir()
    for command in (["archive", "--verify"], ["archive", "--verify", "--json"], ["restore", "--dsn", "host=nowhere"]):
        assert run([*command, str(place)]) == 1
        out, err = capsys.readouterr()
        reason = "nothing is there: mistyped, not mounted, or nothing was archived yet"
        assert (out, err) == ("", f"dblog: error: archive {place}/dblog_logs: {reason}\n")


def test_a_file_that_cannot_be_read_is_not_called_damaged(
    harmed: Archive, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the store refuses at the moment is told apart: in its line, in the JSON, and by the exit code 3."""
    *others, day = harmed.days()
    for other in others:
        shutil.rmtree(Path(harmed.where, f"date={other}"))
    (whole,) = harmed.files_of(day)
    looped = Path(harmed.store.location, whole.path)
    looped.unlink()
    looped.symlink_to(looped)
    assert run(["archive", "--verify", harmed.store.location]) == 3
    assert f"{looped}: the file cannot be read now: Too many levels" in capsys.readouterr().err
    assert run(["archive", "--verify", "--json", harmed.store.location]) == 3
    found = json.loads(capsys.readouterr().out)
    assert ([each["file"] for each in found["unread"]], found["damaged"]) == ([whole.path], [])
    assert run(["restore", harmed.store.location, "--dsn", database.dsn]) == 1
    assert "nothing was restored; try again when they can be read" in capsys.readouterr().err


@pytest.mark.parametrize("reads", [2, 6])
def test_a_store_that_goes_away_is_not_called_damaged(
    harmed: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reads: int
) -> None:
    """A disk that is unmounted while manifests or files are read is one line and the exit code 3, and no damage."""
    left, plain = iter(range(reads)), LocalStore.reading

    def reading(store: LocalStore, path: str) -> AbstractContextManager[IO[bytes]]:
        if next(left, None) is None:
            Path(store.location).rename(store.location + ".elsewhere")
        return plain(store, path)

    monkeypatch.setattr(LocalStore, "reading", reading)
    assert run(["archive", "--verify", harmed.store.location]) == 3
    assert capsys.readouterr().err == (
        f"dblog: error: archive {harmed.where}: it went away while it was read: nothing is known of its files\n"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file": "../other.parquet"}, "of another file"),
        ({"rows": "many"}, "damaged"),
        ({"installation": {"system": 1}}, "damaged"),
        ({"time_from": "yesterday"}, "damaged"),
        ({"sha256": None}, "damaged"),
        ({"columns": {}}, "damaged"),
        ({"unknown": 1}, "damaged"),
        ({"manifest": []}, "version"),
    ],
)
def test_rubbish_in_a_manifest_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], said: str
) -> None:
    """Whatever somebody wrote into a manifest, it is named as damaged and nothing else happens."""
    path = tmp_path / "dblog_logs" / "date=2026-01-01" / "_a-1.jsonl.gz.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(WHOLE | change), encoding="utf-8")
    assert run(["archive", "--verify", str(tmp_path)]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"dblog: error: {path}: ")
    assert said in line
    assert line.count("\n") == 1


WHOLE = {
    "manifest": 2,
    "file": "a-1.jsonl.gz",
    "format": "jsonl",
    "partition": "a",
    "rows": 1,
    "time_from": "2026-01-01T00:00:00+00:00",
    "time_to": "2026-01-01T00:00:00+00:00",
    "size": 1,
    "sha256": "",
    "rows_sha256": "",
    "schema_revision": "0001",
    "columns": {"id": "bigint"},
    "written_at": "2026-02-01T00:00:00+00:00",
    "written_by": "dblog",
    "installation": None,
}
