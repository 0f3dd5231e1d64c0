"""Compressing in the background: whole files, in their place, whatever happens meanwhile."""

import gzip
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashes import crashes
from eventually import eventually
from rotating import NOON, Compressed, contents

from dblog.errors import ConfigurationError
from dblog.files.rotated.compression import THREAD
from dblog.files.rotated.packing import Packing
from dblog.files.rotated.unfinished import Unfinished


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Compressed]:
    """A log with room for many files."""
    log = Compressed(tmp_path, backup_count=100)
    yield log
    log.compressor.stop()
    log.close()


def test_a_compressed_file_takes_the_place_of_its_source(log: Compressed) -> None:
    """Mode, owner and time stay, and so does what was written; only the bytes become fewer."""
    log.put_away("x" * 10_000)
    path = log.folder / "app.log.1"
    path.chmod(0o604)
    os.utime(path, (NOON, NOON + 0.5))
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    before = path.stat()
    log.rotation.start(NOON)
    log.compress_all()
    after = (log.folder / "app.log.1.gz").stat()
    for attribute in ("st_mode", "st_uid", "st_gid", "st_mtime_ns"):
        assert getattr(after, attribute) == getattr(before, attribute)
    assert contents(log.folder) == {"app.log": "", "app.log.1.gz": "x" * 10_000 + "\n"}
    assert log.rotation.backups.total_bytes == after.st_size
    assert (log.compressor.compressed_files, log.compressor.saved_bytes) == (1, 10_001 - after.st_size)


@pytest.mark.parametrize("naming", ["index", "timestamp", "date"])
def test_compressed_files_are_rotated_and_counted(tmp_path: Path, naming: str) -> None:
    """Compressed files move up, are bounded, and keep their order, as plain ones do."""
    log = Compressed(tmp_path, max_bytes=100, backup_count=3, naming=naming)
    lines = [f"line {number} {'.' * 60}" for number in range(9)]
    for number, line in enumerate(lines):
        log.write(line)
        if number % 3:
            log.compress_all()
    log.compress_all()
    log.close()
    names = log.names()
    assert all(name.endswith(".gz") for name in names)
    found = [contents(tmp_path)[name] for name in names]
    assert found == [line + "\n" for line in lines[5:8]]


def test_the_thread_ends_when_nothing_is_left(log: Compressed) -> None:
    """What is asked for is done in a thread that is gone afterwards, and comes back when it is asked again."""
    for text in ("one", "two"):
        log.put_away(text, text)
        log.compressor.wake()
        eventually(lambda: all(backup.label.packing for backup in log.rotation.backups), "compression")
        eventually(lambda: THREAD not in [thread.name for thread in threading.enumerate()], "the thread's end")
    assert log.compressor.compressed_files == 4


def test_a_source_that_moves_up_meanwhile_is_found(log: Compressed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation in the middle of a compression changes the name that the result gets."""
    log.put_away("first")
    complete = Unfinished.complete

    def rotate_and_complete(self: Unfinished, source: os.stat_result) -> None:
        complete(self, source)
        monkeypatch.undo()
        log.put_away("second")

    monkeypatch.setattr(Unfinished, "complete", rotate_and_complete)
    assert log.compressor.compress_next()
    assert contents(log.folder) == {"app.log": "", "app.log.1": "second\n", "app.log.2.gz": "first\n"}
    assert log.names() == ["app.log.2.gz", "app.log.1"]


def test_a_source_that_is_deleted_meanwhile_leaves_nothing(log: Compressed, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bounds delete in the middle of a compression does not come back."""
    log.put_away("first")
    complete = Unfinished.complete

    def delete_and_complete(self: Unfinished, source: os.stat_result) -> None:
        complete(self, source)
        log.rotation.backups.remove(next(iter(log.rotation.backups)))

    monkeypatch.setattr(Unfinished, "complete", delete_and_complete)
    assert log.compressor.compress_next()
    assert contents(log.folder) == {"app.log": ""}


def test_a_source_that_grows_meanwhile_stays_plain(log: Compressed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that another program appends late is not lost."""
    log.put_away("first")
    complete = Unfinished.complete

    def append_and_complete(self: Unfinished, source: os.stat_result) -> None:
        complete(self, source)
        with (log.folder / "app.log.1").open("a") as file:
            file.write("late\n")

    monkeypatch.setattr(Unfinished, "complete", append_and_complete)
    log.compress_all()
    assert contents(log.folder) == {"app.log": "", "app.log.1": "first\nlate\n"}


def test_a_crash_at_any_step_neither_loses_nor_doubles_a_line(tmp_path: Path) -> None:
    """Wherever a compression is interrupted, the next run has each file once, and nothing unfinished."""

    def prepare() -> None:
        for path in tmp_path.iterdir():
            path.unlink()
        log = Compressed(tmp_path, backup_count=9)
        log.put_away("first", "second", "third")
        log.close()

    prepare()
    for _ in crashes(lambda: Compressed(tmp_path, backup_count=9).compress_all()):
        log = Compressed(tmp_path, backup_count=9)
        log.put_away("fourth")
        log.compress_all()
        log.close()
        expected = [f"{text}\n" for text in ("first", "second", "third", "fourth")]
        found = contents(tmp_path)
        assert [found.pop(name) for name in log.names()] == expected
        assert found == {"app.log": ""}
        prepare()


def test_a_plain_file_beside_another_compressed_one_is_kept(log: Compressed) -> None:
    """Only a file whose compressed form has the same content is deleted."""
    log.put_away("mine")
    for number, other in enumerate((gzip.compress(b"other\n"), gzip.compress(b"mine\nand more\n"), b"broken")):
        (log.folder / "app.log.1.gz").write_bytes(other)
        log.rotation.start(NOON + number)
        log.compress_all()
        assert (log.folder / "app.log.1").read_text() == "mine\n"
        assert (log.folder / "app.log.1.gz").read_bytes() == other


def test_what_another_process_is_writing_is_left_alone(log: Compressed) -> None:
    """Unfinished files go at the next start, except those that a living process holds."""
    names = log.rotation.backups.names
    dead, living = names.unfinished("1.gz"), names.unfinished("2.gz")
    dead.write_text("half")
    writing = Unfinished(living)
    try:
        log.rotation.start(NOON)
        assert not dead.exists()
        assert living.exists()
    finally:
        writing.close()


def test_zstd_works_or_says_what_is_missing(tmp_path: Path) -> None:
    """Where anything installed knows zstd, files are compressed by it; else the error names the setting and the way."""
    try:
        packing = Packing("zstd")
    except ConfigurationError as error:
        assert "compression: 'zstd' needs Python 3.14 or the package zstandard" in str(error)  # noqa: PT017
        return
    log = Compressed(tmp_path, "zstd", backup_count=9)
    log.put_away("line")
    log.compress_all()
    log.close()
    with packing.open(tmp_path / "app.log.1.zst") as file:
        assert file.read() == b"line\n"
