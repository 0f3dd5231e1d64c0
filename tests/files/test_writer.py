"""One writer: what waits, what overflows, what is told."""

import errno
import logging
import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from eventually import eventually

from dblog.files import buffer
from dblog.files.handler import ResilientRotatingFileHandler
from dblog.files.settings import FileSettings
from dblog.files.writer import FileWriter

MakeHandler = Callable[..., ResilientRotatingFileHandler]
LINE = b"x" * 999 + b"\n"


class StuckDisk:
    """A pipe in the place of a file: as slow as its reader."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR)

    def read_until(self, thread: threading.Thread, amount: int) -> bytes:
        """Read so many bytes, which lets the thread go on."""
        data = b""
        while len(data) < amount:
            data += os.read(self._fd, amount - len(data))
        thread.join()
        return data

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._fd)


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_an_overflow_drops_or_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    """While a write is stuck so many lines may wait; the next one is dropped and counted, or waits, as was chosen."""
    monkeypatch.setattr(buffer, "PATIENCE", 0.0)  # every write is a slow one
    path = tmp_path / "app.log"
    with closing(StuckDisk(path)) as disk:
        settings = FileSettings(
            filename=str(path), buffer_size=100_000, flush_interval=3600, max_concurrent_writes=150, overflow=overflow
        )
        writer = FileWriter(settings)
        stuck = threading.Thread(target=lambda: writer.write(LINE * 100, False))
        stuck.start()  # a full block, whose write fills the pipe
        eventually(lambda: writer._feed.writing_since > 0.0)
        for _ in range(151):
            writer.write(LINE, False)
        assert writer.metrics().buffer_overflows == 0
        extra = threading.Thread(target=writer.write, args=(LINE, False))
        extra.start()
        eventually(lambda: writer.metrics().buffer_overflows == 1)
        kept = 252 if overflow == "block" else 251
        for count in (251, kept - 251):  # the line that waits may be there in time for the first flush, or not
            flushing = threading.Thread(target=writer.flush)
            flushing.start()
            assert disk.read_until(flushing, count * len(LINE)) == LINE * count
            extra.join()
        stuck.join()
        writer.close()
        figures = writer.metrics()
    assert (figures.lines_written, figures.dropped_messages) == (kept - 99, 252 - kept)
    assert figures.waiting_lines == 0


def test_the_figures_add_up(tmp_path: Path) -> None:
    """What was written is told in lines and bytes, with the time that it took."""
    with closing(FileWriter(FileSettings(filename=str(tmp_path / "app.log")))) as writer:
        for _ in range(10):
            writer.write(LINE, False)
        figures = writer.metrics()
    assert (figures.lines_written, figures.bytes_written, figures.flush_count) == (10, 10_000, 10)
    assert figures.avg_write_latency_us > 0
    assert figures.avg_flush_latency_us >= figures.avg_write_latency_us
    assert (figures.state, writer.metrics().state) == ("normal", "closed")


def test_rotations_are_told_without_end_of_it(
    make_handler: MakeHandler, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With rotation events each rotation is logged, and those that this brings about are not, in any file size."""
    handler = make_handler(maxBytes=30, backupCount=100, log_rotation_events=True)
    logger = logging.getLogger("dblog.files")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                logger.info("x" * 25)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert any("was rotated" in record.getMessage() for record in caplog.records)
    assert len(list(tmp_path.glob("app.log.*"))) < 20


@pytest.mark.parametrize("fsync", ["always", "interval"])
def test_what_was_written_is_synced(
    make_handler: MakeHandler, monkeypatch: pytest.MonkeyPatch, log_path: Path, fsync: str
) -> None:
    """With `always` and `interval` the file is brought to the disk without another call."""
    synced: list[int] = []
    sync = os.fsync

    def count(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(os, "fsync", count)
    make_handler(fsync=fsync).handle(logging.makeLogRecord({"msg": "one"}))
    eventually(lambda: log_path.stat().st_ino in synced)


def test_a_late_error_of_a_rotated_file_ends_nothing(
    make_handler: MakeHandler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the system reports when a rotated file is closed is counted, and the next lines are in the new file."""
    handler = make_handler(maxBytes=6, backupCount=5)
    handler.handle(logging.makeLogRecord({"msg": "one"}))
    assert handler.stream is not None
    live, close = handler.stream.fileno(), os.close

    def report_late(fd: int) -> None:
        close(fd)
        if fd == live:
            monkeypatch.undo()
            raise OSError(errno.EIO, "a late error")

    monkeypatch.setattr(os, "close", report_late)
    handler.handle(logging.makeLogRecord({"msg": "two"}))
    assert [(tmp_path / name).read_text() for name in ("app.log.1", "app.log")] == ["one\n", "two\n"]
    assert (handler.metrics().write_errors, handler.metrics().rotation_count) == (1, 1)
    assert not handler.is_degraded


def test_lines_may_have_any_size(tmp_path: Path) -> None:
    """A line of many megabytes with NUL bytes is written whole."""
    path = tmp_path / "app.log"
    line = b"\0" * 20_000_000 + b"\n"
    with closing(FileWriter(FileSettings(filename=str(path), buffer_size=1000))) as writer:
        writer.write(line, False)
        writer.write(b"after\n", False)
    assert path.read_bytes() == line + b"after\n"


@pytest.mark.parametrize(("length", "limits"), [(28, {"max_total_bytes": 120}), (29, {"max_total_bytes": 60})])
def test_byte_order_marks_count(
    make_handler: MakeHandler, log_path: Path, length: int, limits: dict[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    """A file with its mark stays below its size, and all files with theirs within the total."""
    handler = make_handler(maxBytes=60, encoding="utf-16", **limits)
    for _ in range(50):
        handler.handle(logging.makeLogRecord({"msg": "x" * length, "levelno": logging.INFO}))
        assert sum(path.stat().st_size for path in log_path.parent.iterdir()) <= limits["max_total_bytes"]
    figures = handler.metrics()
    assert figures.lines_written + figures.fallback_lines == 50
    assert capfd.readouterr().err.count("x" * length) == figures.fallback_lines


def test_byte_order_marks_count_in_blocks(make_handler: MakeHandler, tmp_path: Path) -> None:
    """Lines that are written together go into a file only as far as they fit behind its mark."""
    handler = make_handler(maxBytes=101, backupCount=100, encoding="utf-16", buffer_size=10_000, flush_interval=3600)
    for _ in range(50):
        handler.handle(logging.makeLogRecord({"msg": "x" * 24, "levelno": logging.INFO}))  # 50 bytes a line
    handler.flush()
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {52}


def test_a_line_that_comes_while_the_writer_is_closed(tmp_path: Path) -> None:
    """What a thread writes that began before `close` and went on after it does not stay in the buffer."""
    path = tmp_path / "app.log"
    writer = FileWriter(FileSettings(filename=str(path), buffer_size=65_536, flush_interval=3600))
    write = writer.write
    write(b"early\n", False)
    writer.close()
    write(b"late\n", False)
    assert path.read_bytes() == b"early\nlate\n"
    assert writer.metrics().waiting_lines == 0
