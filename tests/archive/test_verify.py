"""`dblog archive --verify`: it names everything that is damaged, and what it names can be mended."""

import errno
import json
import os
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


def test_a_file_without_a_manifest_is_told_of(harmed: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that no manifest speaks of are a note and no damage, which says whether a run may be writing them."""
    for path in Path(harmed.where).glob("date=*/_*.json"):
        path.unlink()
    first, *others = sorted(Path(harmed.where).glob("date=*/dblog*"))
    first.with_name(f"_{first.name}.begun").touch()
    assert run(["archive", "--verify", harmed.store.location]) == 0
    begun, *lost = capsys.readouterr().err.splitlines()
    assert begun.startswith(f"dblog: note: {first}: a run is writing it, or was cut short")
    assert [
        line.startswith(f"dblog: note: {path}: its manifest is lost") for path, line in zip(others, lost, strict=True)
    ]
    assert run(["archive", "--verify", "--json", harmed.store.location]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [str(Path(harmed.store.location, path)) for path in (*found["begun"], *found["lost"])] == [
        str(path) for path in (first, *others)
    ]


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
    assert "nothing was restored; try again when those that cannot be read" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_hides_no_other(harmed: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """A day that the store refuses is named like a file; the damage of the others is told all the same."""
    folder = Path(harmed.where, f"date={harmed.days()[-1]}")
    shutil.rmtree(folder)
    folder.symlink_to(folder)
    assert run(["archive", "--verify", "--json", harmed.store.location]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["file"] for each in found["unread"]] == [f"dblog_logs/{folder.name}"]
    assert (len(found["damaged"]), found["files"], found["away"]) == (3, 0, None)


def test_a_disk_that_fails_is_damage(
    harmed: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that the disk itself cannot give back is not one to wait for; where both are there, both advices are."""
    failing, looped = (file for day in (harmed.days()[0], harmed.days()[-1]) for file in harmed.files_of(day))
    path, plain = Path(harmed.store.location, looped.path), LocalStore.reading
    path.unlink()
    path.symlink_to(path)

    def reading(store: LocalStore, path: str) -> AbstractContextManager[IO[bytes]]:
        if path == failing.path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return plain(store, path)

    monkeypatch.setattr(LocalStore, "reading", reading)
    assert run(["archive", "--verify", harmed.store.location]) == 1
    assert f"{failing.path}: the file cannot be read: Input/output error" in capsys.readouterr().err
    assert run(["restore", harmed.store.location, "--dsn", "host=nowhere"]) == 1
    advice = "without those that are damaged, and their manifests, the others can be; try again when those that cannot"
    assert advice in capsys.readouterr().err


def test_the_archive_is_not_listed_for_every_bad_file(harmed: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the store is still there, the folder of the file tells, however many are bad."""
    asked, plain = list[str](), LocalStore.names

    def names(store: LocalStore, folder: str) -> list[str]:
        asked.append(folder)
        return plain(store, folder)

    monkeypatch.setattr(LocalStore, "names", names)
    assert run(["archive", "--verify", harmed.store.location]) == 1
    assert asked.count("dblog_logs") == 2


@pytest.mark.parametrize(("reads", "code", "known"), [(0, 3, 0), (2, 1, 1), (6, 1, 3)])
def test_a_store_that_goes_away_takes_no_damage_back(
    harmed: Archive,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reads: int,
    code: int,
    known: int,
) -> None:
    """A disk that is unmounted meanwhile is a line, and the exit code 3 only where no damage was found until then."""
    left, plain, place = iter(range(reads)), LocalStore.reading, Path(harmed.store.location)

    def reading(store: LocalStore, path: str) -> AbstractContextManager[IO[bytes]]:
        if next(left, None) is None:
            place.rename(f"{place}.elsewhere")
        return plain(store, path)

    monkeypatch.setattr(LocalStore, "reading", reading)
    assert run(["archive", "--verify", str(place)]) == code
    out, err = capsys.readouterr()
    *named, last = err.splitlines()
    away = f"archive {harmed.where}: it went away while it was read: nothing is known of its other files"
    assert (len(named), last, out) == (known, f"dblog: error: {away}", "")
    Path(f"{place}.elsewhere").rename(place)
    assert run(["archive", "--verify", "--json", str(place)]) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["away"], found["damaged"]) == (away, [])


def test_a_store_that_is_away_is_no_empty_one(harmed: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is unmounted once the days are known has no files any more, which is no clean bill of health."""
    plain, place = LocalStore.names, Path(harmed.store.location)

    def names(store: LocalStore, folder: str) -> list[str]:
        if "date=" in folder and place.exists():
            place.rename(f"{place}.elsewhere")
        return plain(store, folder)

    monkeypatch.setattr(LocalStore, "names", names)
    assert run(["archive", "--verify", str(place)]) == 3
