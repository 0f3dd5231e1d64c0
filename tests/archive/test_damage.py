"""What is damaged, missing or cannot be written: it is said, and nothing is lost or half done."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import sqlalchemy as sa
from archived import archive_at, bring_back, drop, fill, partition_of, table_of, take
from disks import fill as fill_disk
from disks import small_disk
from servers import Database

from dblog.archive import archiver
from dblog.archive.catalog import Archive
from dblog.archive.formats import FormatName
from dblog.archive.stores import LocalStore
from dblog.archive.surveying import survey
from dblog.cli.main import run
from dblog.errors import DblogError
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]


def cut_short(path: Path) -> None:
    """Lose the end of a file."""
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.fixture
def two_days(database: Database, kept: Kept, archive: Archive) -> Archive:
    """An archive of two days, one in each format, whose partitions are gone."""
    with database.connect() as connection:
        fill(connection, 20)
        fill(connection, 21)
    for days, form in ((20, "parquet"), (21, "jsonl")):
        partition = partition_of(database, days)
        take(kept, partition, archive, form)  # type: ignore[arg-type]
        drop(database, partition)
    return archive


@pytest.mark.parametrize(("harm", "which"), [(cut_short, 0), (flip, 1), (Path.unlink, 1)])
def test_a_damaged_file_is_named_and_nothing_is_restored(
    two_days: Archive,
    database: Database,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], None],
    which: int,
) -> None:
    """A file that was cut, changed or lost is found before the first row of any file is restored."""
    harm(Path(two_days.store.location, two_days.files()[which].path))
    name = two_days.files()[which].path
    for command in (["archive", "--verify"], ["restore", "--dsn", database.dsn]):
        assert run([*command, two_days.store.location]) == 1
        assert name in capsys.readouterr().err
    assert table_of(database) == []


def test_a_manifest_that_cannot_be_read_is_named(two_days: Archive, kept: Kept, database: Database) -> None:
    """A later release's manifest, a damaged one, an unknown format and other rows than were sent end the restore."""
    for change, said in (
        ({"manifest": 3}, "version 3 of the manifest; this release reads 1 and 2"),
        ({"columns": 3}, "damaged"),
        ({"format": "orc"}, "orc"),
        ({"rows_sha256": "0" * 64}, "not those that were archived"),
        ({"rows": 3}, "it has 10 rows, by its manifest 3"),
    ):
        file = two_days.files()[0]
        path = Path(two_days.store.location, file.path).with_name(file.manifest.name)
        whole = path.read_text(encoding="utf-8")
        path.write_text(json.dumps(json.loads(whole) | change), encoding="utf-8")
        with pytest.raises(DblogError, match=said):
            bring_back(kept, two_days)
        assert table_of(database) == []
        path.write_text(whole, encoding="utf-8")


class LyingStore(LocalStore):
    """A store that says that it has written everything, and has not."""

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """Write, and lose the end."""
        with super().writing(path) as sink:
            yield sink
        if not path.endswith(".json"):
            cut_short(Path(self.location, path))


def test_what_cannot_be_read_back_does_not_count(database: Database, kept: Kept, tmp_path: Path) -> None:
    """A store that lost a part of the file leads to an error and no manifest; the next run replaces the file."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    with pytest.raises(DblogError, match="SHA-256"):
        take(kept, partition, Archive(LyingStore(tmp_path), "dblog_logs"), "jsonl")
    archive = archive_at(tmp_path)
    assert archive.files() == []
    take(kept, partition, archive, "parquet")
    assert len(list(tmp_path.glob("*/date=*/*"))) == 2


def test_a_damaged_archive_keeps_the_table(database: Database, kept: Kept, archive: Archive) -> None:
    """The retention's hook takes no file for an archive that is not as its manifest says, but one anew without it."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    take(kept, partition, archive, "jsonl")
    flip(Path(archive.store.location, archive.files()[0].path))
    with pytest.raises(DblogError, match="damaged"):
        archiver(archive.store.location, kept[1])(kept[0], partition)
    for path in Path(archive.where).glob("date=*/*"):
        path.unlink()
    archiver(archive.store.location, kept[1])(kept[0], partition)
    assert [file.manifest.rows for file in archive.files()] == [len(table_of(database))]


def test_what_cannot_be_compared_keeps_the_table(database: Database, kept: Kept, archive: Archive) -> None:
    """Archived rows that the server no longer takes are a reason to keep the table, and no end of the retention."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD COLUMN amount text DEFAULT 'many'")
        fill(connection, 20)
        partition = partition_of(database, 20)
        take(kept, partition, archive, "jsonl")
        connection.execute("ALTER TABLE dblog_logs ALTER amount DROP DEFAULT, ALTER amount TYPE integer USING 1")
    with pytest.raises(DblogError, match=f"{partition} cannot be archived: a value was refused"):
        archiver(archive.store.location, kept[1])(kept[0], partition)


def test_a_full_disk_keeps_the_table(
    database: Database, kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a full disk the prune says so and keeps the table; with room again, it archives and drops it."""
    with database.connect() as connection:
        fill(connection, 20)
    partition, before = partition_of(database, 20), table_of(database)
    with small_disk(tmp_path / "disk", 1) as disk:
        ballast = fill_disk(disk)
        prune = ["prune", "--retention-days", "10", "--force", "--dsn", database.dsn, "--archive", str(disk)]
        assert run(prune) == 1
        assert "No space left on device" in capsys.readouterr().out
        with database.connect() as connection:
            rows = connection.execute(f'SELECT count(*) FROM "{partition}"'.encode()).fetchone()
        assert rows == (len(before),)
        ballast.unlink()
        assert run(prune) == 0
        assert table_of(database) == []
        bring_back(kept, archive_at(disk))
    assert table_of(database) == before


def test_a_store_that_refuses_is_named(database: Database, kept: Kept, tmp_path: Path) -> None:
    """A path that leads into a file is an error of one line, with the place and the reason."""
    (tmp_path / "file").write_text("")
    with database.connect() as connection:
        fill(connection, 20)
    with pytest.raises(DblogError, match=rf"archive {tmp_path}/file/.*Not a directory") as raised:
        take(kept, partition_of(database, 20), archive_at(tmp_path / "file"), "jsonl")
    assert "\n" not in str(raised.value)


def test_only_leftovers_of_the_partition_are_removed(database: Database, kept: Kept, archive: Archive) -> None:
    """What a killed run has left of the partition goes; files of other partitions and of other people stay."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    (done,) = take(kept, partition, archive, "jsonl")
    folder = Path(archive.store.location, f"dblog_logs/date={done.day}")
    others = {f"{partition}_10-1.parquet", f"{partition}-x-1.jsonl.gz", "sales-2.parquet", ".sales.parquet.tmp"}
    others |= {f"_{partition}_10-1.parquet.begun"}
    left = {f"{partition}-7.jsonl.gz", f".{partition}-2.parquet.tmp", f"._{partition}-2.jsonl.gz.json.tmp"}
    left |= {f"_{partition}-7.jsonl.gz.begun", f"_{partition}-8.parquet.begun", f"._{partition}-9.parquet.begun.tmp"}
    left |= {f"_{partition}-1.jsonl.gz.begun"}
    before = {path.name for path in folder.iterdir()}
    for name in others | left:
        (folder / name).write_bytes(b"half")
    take(kept, partition, archive, "jsonl")
    assert {path.name for path in folder.iterdir()} == before | others


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_rows_whose_manifest_was_lost_stay(database: Database, kept: Kept, archive: Archive, form: FormatName) -> None:
    """A file that was once finished is neither removed nor replaced when its partition is archived again."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    (done,) = take(kept, partition, archive, "jsonl")
    (file,) = archive.files()
    whole = Path(archive.store.location, file.path)
    before = whole.read_bytes()
    whole.with_name(file.manifest.name).unlink()
    (again,) = take(kept, partition, archive, form)
    assert again.written == done.written
    assert again.file is not None
    assert Path(again.file).name.startswith(f"{partition}-2.")
    assert (whole.read_bytes(), survey(archive).lost) == (before, [file.path])
