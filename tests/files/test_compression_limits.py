"""Compression gives way: to the total, to new lines, to the end of the program and to a disk that fails."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from rotating import NOON, Compressed, contents

from dblog.files.rotated.compression import THREAD, Postponed
from dblog.files.rotated.unfinished import Unfinished


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Compressed]:
    """A log with room for many files."""
    log = Compressed(tmp_path, backup_count=100)
    yield log
    log.compressor.stop()
    log.close()


def test_a_compression_that_exceeds_the_total_is_given_up(tmp_path: Path) -> None:
    """What is being compressed counts; it is the first to go, so that no line and no older file goes for it."""
    log = Compressed(tmp_path, max_bytes=4000, max_total_bytes=8000)
    log.put_away(os.urandom(1900).hex())
    log.write("x" * 3500)
    with pytest.raises(Postponed):
        log.compress_all()
    assert sorted(contents(tmp_path)) == ["app.log", "app.log.1"]
    assert log.rotation.backups.unfinished_bytes == 0
    log.close()


def test_lines_take_the_room_of_what_is_being_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that comes in the middle of a compression is written, and the compression ends without a trace."""
    log = Compressed(tmp_path, max_bytes=4000, max_total_bytes=8000)
    log.put_away(os.urandom(1900).hex())
    complete = Unfinished.complete

    def write_and_complete(self: Unfinished, source: os.stat_result) -> None:
        complete(self, source)
        assert log.write("x" * 3500)

    monkeypatch.setattr(Unfinished, "complete", write_and_complete)
    with pytest.raises(Postponed):
        log.compressor.compress_next()
    assert sorted(contents(tmp_path)) == ["app.log", "app.log.1"]
    log.close()


def test_stopping_leaves_the_file_as_it_was(log: Compressed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file does not hold up the end: it stays plain, with nothing beside it."""
    log.put_away("x" * 1_000_000)
    begun, go_on = threading.Event(), threading.Event()
    write = Unfinished.write

    def slowly(self: Unfinished, data: bytes) -> None:
        begun.set()
        go_on.wait(30)
        write(self, data)

    monkeypatch.setattr(Unfinished, "write", slowly)
    log.compressor.wake()
    assert begun.wait(30)
    log.compressor.stop(0)
    go_on.set()
    log.compressor.stop()
    assert contents(log.folder) == {"app.log": "", "app.log.1": "x" * 1_000_000 + "\n"}
    log.compressor.wake()
    assert THREAD not in [thread.name for thread in threading.enumerate()]


def refuse(thread: threading.Thread) -> None:
    """Start no thread, as at the end of the interpreter and where the system has none left."""
    raise RuntimeError("can't start new thread")


def test_without_a_thread_the_next_call_compresses(log: Compressed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be had the file stays plain, without an exception, until somebody asks again."""
    log.put_away("line")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        log.compressor.wake()
        assert log.names() == ["app.log.1"]
    log.compressor.wake()
    eventually(lambda: log.names() == ["app.log.1.gz"], "the compression")


def test_a_thread_that_never_started_is_not_waited_for(log: Compressed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a program that could have no thread waits for none."""
    log.put_away("line")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    log.compressor.wake()
    log.compressor.stop()
    assert log.names() == ["app.log.1"]


def test_a_disk_that_fails_is_announced(log: Compressed) -> None:
    """What cannot be compressed stays as it is, and the operator hears of it."""
    log.put_away("line")
    inode = (log.folder / "app.log.1").stat().st_ino
    log.rotation.backups.names.unfinished(f"{inode}.gz").mkdir()
    log.compressor.wake()
    eventually(lambda: any("not compressed" in text for text in log.heard.said), "the announcement")
    assert log.names() == ["app.log.1"]


def test_two_processes_do_not_compress_the_same_file(log: Compressed) -> None:
    """What another process is compressing is left to it, and is done later if it was not."""
    log.put_away("line")
    inode = (log.folder / "app.log.1").stat().st_ino
    theirs = Unfinished(log.rotation.backups.names.unfinished(f"{inode}.gz"))
    try:
        with pytest.raises(Postponed):
            log.compressor.compress_next()
    finally:
        theirs.close()
    assert log.compressor.compress_next()
    assert sorted(contents(log.folder)) == ["app.log", "app.log.1.gz"]


def test_a_rotation_by_another_process_postpones(log: Compressed) -> None:
    """Where a name means another file by now, nothing is done until the folder was looked at."""
    log.put_away("first")
    (log.folder / "app.log.1").rename(log.folder / "app.log.2")
    (log.folder / "app.log.1").write_text("second\n")
    with pytest.raises(Postponed):
        log.compressor.compress_next()
    log.rotation.start(NOON)
    log.compress_all()
    assert contents(log.folder) == {"app.log": "", "app.log.1.gz": "second\n", "app.log.2.gz": "first\n"}
