"""Stores that refuse, and others that come between: what counts is in the archive, or the table stays."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
import sqlalchemy as sa
from archived import archive_at, fill, noon, partition_of, table_of, take
from servers import Database

from dblog.archive import archiver
from dblog.archive.catalog import Archive
from dblog.archive.claims import take_over
from dblog.archive.installation import installation_of
from dblog.archive.stores import LocalStore
from dblog.cli.main import run
from dblog.errors import DblogError
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]


def test_a_store_that_lets_nobody_delete_is_an_archive(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where files can only be added, days are archived and dropped, and late rows of the same days are added."""

    def delete(_store: LocalStore, path: str) -> None:
        raise PermissionError(13, "Access Denied", path)

    monkeypatch.setattr(LocalStore, "delete", delete)
    prune = ["prune", "--retention-days", "10", "--force", "--dsn", database.dsn, "--archive", str(tmp_path)]
    for part in (1, 2):
        for days in (20, 21):
            partition_of(database, days)
            with database.connect() as connection:
                fill(connection, days, microseconds=part)
        assert run(prune) == 0
        assert table_of(database) == []
    capsys.readouterr()
    assert run(["archive", "--verify", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert (out.startswith("4 files with 40 rows"), err) == (True, "")


class InterruptedStore(LocalStore):
    """A folder in which somebody does something just before a certain file is written."""

    def __init__(self, root: Path, suffix: str, interrupt: Callable[[str], None]) -> None:
        super().__init__(root)
        self._suffix = suffix
        self._interrupt = interrupt

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """Be late."""
        if path.endswith(self._suffix) and "date=" in path:
            self._interrupt(path)
        with super().writing(path) as sink:
            yield sink


@pytest.mark.parametrize(("when", "manifests"), [(".jsonl.gz", 0), (".json", 1)])
def test_whoever_is_overtaken_has_archived_nothing(
    database: Database, kept: Kept, tmp_path: Path, when: str, manifests: int
) -> None:
    """Where another takes the archive over and removes what is unfinished, the day is refused and not reported done."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    with kept[0].begin():
        other = replace(installation_of(*kept), database="other")

    def overtake(_path: str) -> None:
        archive = archive_at(tmp_path)
        take_over(archive, other)
        archive.clear(noon(20).date(), partition)

    with pytest.raises(DblogError, match="it belongs to the database other"):
        take(kept, partition, Archive(InterruptedStore(tmp_path, when, overtake), "dblog_logs"), "jsonl")
    assert len(list(tmp_path.glob("*/date=*/_*.json"))) == manifests


def test_a_file_that_is_gone_before_it_counts_keeps_the_table(database: Database, kept: Kept, tmp_path: Path) -> None:
    """Whoever removes the file before its manifest is there makes the day fail by name."""
    with database.connect() as connection:
        fill(connection, 20)

    def remove(manifest: str) -> None:
        folder, _, name = manifest.rpartition("/")
        (tmp_path / folder / name.removeprefix("_").removesuffix(".json")).unlink()

    archive = Archive(InterruptedStore(tmp_path, ".json", remove), "dblog_logs")
    with pytest.raises(DblogError, match="the file is missing, its manifest is there"):
        take(kept, partition_of(database, 20), archive, "jsonl")


def test_no_transaction_waits_for_the_store(kept: Kept, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the retention asks whose the archive is, which may take long, nothing is held in the database."""
    asked, plain = list[bool](), LocalStore.names

    def names(store: LocalStore, folder: str) -> list[str]:
        asked.append(kept[0].in_transaction())
        return plain(store, folder)

    monkeypatch.setattr(LocalStore, "names", names)
    archiver(archive.store.location, kept[1]).check(kept[0])
    assert set(asked) == {False}


def test_a_check_that_fails_says_so(database: Database, kept: Kept, archive: Archive) -> None:
    """Where the database ends the question of whose the archive is, the error is about the archive."""
    pid = kept[0].scalar(sa.text("SELECT pg_backend_pid()"))
    kept[0].rollback()
    with database.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    with pytest.raises(DblogError, match=r"^the archive cannot be checked: "):
        archiver(archive.store.location, kept[1]).check(kept[0])
