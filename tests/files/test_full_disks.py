"""Real file systems that fill up while threads log: nothing raises, tears or vanishes, and it resumes by itself."""

import errno
import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from disks import fill, small_disk, small_ext4
from eventually import eventually
from storms import Line, Storm, lines_in, of

from dblog import ResilientRotatingFileHandler

MEGABYTES = 16
ROOM = 64 * 1024
"""Bytes that are left when a storm begins, so that the disk is filled by the lines themselves, in the middle of it."""
INTERVAL = 0.2

Disk = Callable[[Path, int], AbstractContextManager[Path]]
DISKS = pytest.mark.parametrize("disk", [small_disk, small_ext4], ids=["tmpfs", "ext4"])
THREADS = pytest.mark.parametrize(("threads", "lines"), [(5, 1000), (100, 50)], ids=["5 threads", "100 threads"])
WRITING = pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"buffer_size": 65_536},
        {"maxBytes": 40_000, "backupCount": 10_000, "naming": "timestamp"},
        {"maxBytes": 40_000, "backupCount": 10_000, "compression": "gzip", "buffer_size": 65_536},
    ],
    ids=["unbuffered", "buffered", "rotated", "rotated, compressed, buffered"],
)


def nearly_fill(disk: Path) -> Path:
    """Leave no more than a little room; returns the file that has the rest."""
    ballast = fill(disk)
    os.truncate(ballast, ballast.stat().st_size - ROOM)
    os.sync()
    return ballast


def blow_until_full(storm: Storm, lines: int, handler: ResilientRotatingFileHandler) -> None:
    """Log until lines go to the fallback stream: compression may make room for more of them meanwhile."""
    before = handler.metrics().fallback_lines
    while handler.metrics().fallback_lines == before:
        storm.blow(lines)
        handler.flush()


def free(handler: ResilientRotatingFileHandler, ballast: Path) -> int:
    """Give the room back and wait until the handler has noticed; returns how often it looked in vain meanwhile."""
    ballast.unlink()
    os.sync()  # ext4 gives blocks back when its journal has been written
    looked: int = handler.recovery_attempts
    eventually(lambda: not handler.is_degraded, "the recovery")
    return handler.recovery_attempts - looked - 1


def account(live: Path, fallback: Path) -> tuple[set[Line], set[Line]]:
    """The lines in the files and those on the fallback stream, none of which may be in both."""
    in_files, on_fallback = lines_in(of(live)), lines_in([fallback])
    assert not in_files & on_fallback
    return in_files, on_fallback


@DISKS
@THREADS
@WRITING
def test_filled_freed_and_filled_again(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    disk: Disk,
    threads: int,
    lines: int,
    arguments: dict[str, Any],
) -> None:
    """The lines in the files and on the fallback stream are those that were logged, all whole, through two full disks.

    With an interval of recovery between them: a look that begins after the room is back is the last one.
    """
    fallback = tmp_path / "fallback"
    with disk(tmp_path / "disk", MEGABYTES) as folder, fallback.open("w") as stream:
        live = folder / "logs" / "app.log"
        with closing(
            ResilientRotatingFileHandler(
                live,
                **arguments,
                fallback_stream=stream,
                emergency_cleanup_threshold_mb=0,
                recovery_check_interval_sec=INTERVAL,
            )
        ) as handler:
            storm = Storm(handler, threads)
            storm.blow(lines)
            for errors in (1, 2):
                ballast = nearly_fill(folder)
                blow_until_full(storm, lines, handler)
                assert handler.error_count >= errors
                assert handler.last_error_time
                assert free(handler, ballast) <= 1
                storm.blow(lines)
            figures = handler.metrics()
        in_files, on_fallback = account(live, fallback)
        assert in_files | on_fallback == storm.emitted
        assert len(on_fallback) == figures.fallback_lines > 0
        assert (figures.dropped_messages, figures.lost_lines, figures.removed_lines) == (0, 0, 0)
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert str(live) in err


@DISKS
def test_the_emergency_cleanup_counts_what_it_removes(tmp_path: Path, disk: Disk) -> None:
    """On a full disk old backups go first, files of others never; what is gone is counted, all else is there."""
    fallback = tmp_path / "fallback"
    with disk(tmp_path / "disk", MEGABYTES) as folder, fallback.open("w") as stream:
        live, foreign = folder / "app.log", [folder / name for name in ("app.log.bak", "app.log.1.orig", "app2.log.1")]
        for path in foreign:
            path.write_bytes(b"not yours\n")
        with closing(
            ResilientRotatingFileHandler(
                live,
                maxBytes=30_000,
                backupCount=10_000,
                fallback_stream=stream,
                emergency_cleanup_threshold_mb=0.25,
                recovery_check_interval_sec=INTERVAL,
            )
        ) as handler:
            storm = Storm(handler, 5)
            storm.blow(2000)
            ballast = nearly_fill(folder)
            storm.blow(1000)
            eventually(lambda: handler.metrics().removed_bytes > 0, "the clean-up")
            ballast.unlink()
            os.sync()
            eventually(lambda: not handler.is_degraded, "the recovery")
            storm.blow(100)
            figures = handler.metrics()
        assert [path.read_bytes() for path in foreign] == [b"not yours\n"] * 3
        for path in foreign:
            path.unlink()
        in_files, on_fallback = account(live, fallback)
        lost = storm.emitted - in_files - on_fallback
    assert (len(lost), 60 * len(lost)) == (figures.removed_lines, figures.removed_bytes)
    for thread in range(5):
        assert max(n for t, n in lost if t == thread) < min(n for t, n in in_files if t == thread), "not oldest first"


def test_the_fallback_stream_is_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Unless told otherwise the lines go to stderr, whole, between the announcements of a full and a freed disk."""
    with small_disk(tmp_path / "disk", 8) as folder:
        live = folder / "app.log"
        with closing(
            ResilientRotatingFileHandler(live, emergency_cleanup_threshold_mb=0, recovery_check_interval_sec=INTERVAL)
        ) as handler:
            storm = Storm(handler, 5)
            ballast = nearly_fill(folder)
            storm.blow(500)
            free(handler, ballast)
            storm.blow(10)
        in_files = lines_in([live])
    lines = capfd.readouterr().err.splitlines(keepends=True)
    said = [line for line in lines if line.startswith("dblog: ")]
    printed = tmp_path / "printed"
    printed.write_text("".join(line for line in lines if line not in said))
    assert lines_in([printed]) == storm.emitted - in_files
    assert len(said) >= 2
    assert all(str(live) in line for line in said)


class Refusing(io.StringIO):
    """A stream that takes nothing."""

    def write(self, text: str) -> int:
        """Raise."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), text[:0])


def test_lines_that_nobody_takes_are_counted(tmp_path: Path) -> None:
    """With a fallback stream that is full as well calls return, and what neither of them took is counted as lost."""
    with small_disk(tmp_path / "disk", 4) as folder:
        live = folder / "app.log"
        with closing(
            ResilientRotatingFileHandler(
                live,
                fallback_stream=Refusing(),
                emergency_cleanup_threshold_mb=0,
                recovery_check_interval_sec=INTERVAL,
            )
        ) as handler:
            storm = Storm(handler, 5)
            storm.blow(10)
            ballast = fill(folder)
            storm.blow(500)
            assert handler.metrics().lost_lines > 0
            free(handler, ballast)
            storm.blow(10)
            figures = handler.metrics()
        assert len(lines_in([live])) == figures.lines_written
        assert figures.lines_written + figures.lost_lines == len(storm.emitted)
