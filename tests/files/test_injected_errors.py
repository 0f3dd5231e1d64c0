"""Errors in every call that a log file needs: lines stay whole, none is lost or doubled, and rotation goes on."""

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from disks import mount_point
from eventually import eventually
from faulty import Faults
from storms import Storm, lines_in, of

from dblog import ResilientRotatingFileHandler

ALERT = "ALERT_LOG_ROTATION_FAILED.txt"
QUICK: dict[str, Any] = {"emergency_cleanup_threshold_mb": 0, "recovery_check_interval_sec": 0.1}
NEVER = 3600.0
ROTATED: dict[str, Any] = {"maxBytes": 3_000, "backupCount": 10_000, "retry_base_delay": 0.001}

BUFFERS = pytest.mark.parametrize("buffer_size", [0, 4_096], ids=["unbuffered", "buffered"])


def name_of(code: int) -> str:
    """An error number as a person writes it."""
    return errno.errorcode[code]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the log files; calls fail here and nowhere else."""
    made = tmp_path / "logs"
    made.mkdir()
    return made


@pytest.fixture
def faults(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Makes system calls fail below `folder`."""
    return Faults(folder, monkeypatch)


@contextmanager
def storm_in(folder: Path, threads: int = 1, **arguments: Any) -> Iterator[tuple[ResilientRotatingFileHandler, Storm]]:
    """A handler on `app.log` and threads that log; at the end every line is in the files or on the fallback stream."""
    live, fallback = folder / "app.log", folder.with_name("fallback")
    with fallback.open("w") as stream:
        chosen: dict[str, Any] = {**QUICK, "fallback_stream": stream, **arguments}
        with closing(ResilientRotatingFileHandler(live, **chosen)) as handler:
            storm = Storm(handler, threads)
            yield handler, storm
            storm.blow(20)
        figures = handler.metrics()
    in_files, on_fallback = lines_in(of(live)), lines_in([fallback])
    assert in_files | on_fallback == storm.emitted
    assert not in_files & on_fallback
    assert (figures.lost_lines, figures.dropped_messages, figures.waiting_lines) == (0, 0, 0)


@pytest.mark.parametrize("naming", ["index", "timestamp"])
@pytest.mark.parametrize("threads", [1, 5])
@BUFFERS
def test_a_file_that_is_a_mount_point(folder: Path, naming: str, threads: int, buffer_size: int) -> None:
    """The real EBUSY: after its retries rotation copies the file and empties it, and every line is there once."""
    live = folder / "app.log"
    live.touch()
    with mount_point(live):
        inode = live.stat().st_ino
        with storm_in(folder, threads, **ROTATED, naming=naming, buffer_size=buffer_size) as (handler, storm):
            storm.blow(100)
            handler.flush()
            assert handler.metrics().rotation_count > 0
        assert live.stat().st_ino == inode
    assert not (folder / ALERT).exists()


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EBUSY, errno.ETXTBSY], ids=name_of)
def test_a_transient_error_of_a_rename_is_retried(folder: Path, faults: Faults, code: int) -> None:
    """Injected: a rename that is refused three times succeeds at the third retry, and nothing is copied."""
    with storm_in(folder, **ROTATED) as (handler, storm):
        storm.blow(10)
        inode = (folder / "app.log").stat().st_ino
        faults.make("rename", code, times=3)
        handler.doRollover()
        assert faults.calls == ["rename"] * 3
        assert (folder / "app.log.1").stat().st_ino == inode
    assert not (folder / ALERT).exists()


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EIO], ids=name_of)
def test_a_permanent_error_of_a_rename_is_not_retried(folder: Path, faults: Faults, code: int) -> None:
    """Injected: such a rename is tried once for each rotation, and logging goes on without a loss."""
    with storm_in(folder, **ROTATED, retry_attempts=20) as (handler, storm):
        storm.blow(10)
        faults.make("rename", code, times=1, only="app.log")
        handler.doRollover()
        assert faults.calls == ["rename"]
        faults.end()
        storm.blow(100)


@BUFFERS
def test_a_rotation_that_fails_for_good_leaves_an_alert(folder: Path, faults: Faults, buffer_size: int) -> None:
    """Injected: where neither a rename nor a copy works, a file says so, and the live file goes on taking lines."""
    with storm_in(folder, **ROTATED, buffer_size=buffer_size, recovery_check_interval_sec=NEVER) as (handler, storm):
        faults.make("rename", errno.EBUSY, only="app.log")
        faults.make("open", errno.EACCES, only="app.log.1")
        faults.make("link", errno.EACCES)
        faults.make("ftruncate", errno.EACCES)
        faults.make("truncate", errno.EACCES)
        faults.make("open", errno.EACCES, only=".app.log")
        storm.blow(200)
        handler.flush()
        assert (folder / "app.log").stat().st_size > 60 * 200 - 4_096
        assert faults.calls.count("rename") == 4, "one attempt and three retries; the next not before the interval"
        assert not handler.is_degraded
        faults.end()
    alert = (folder / ALERT).read_text(encoding="utf-8")
    assert os.strerror(errno.EACCES) in alert
    assert str(folder / "app.log") in alert


@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EACCES, errno.EBUSY], ids=name_of
)
@pytest.mark.parametrize("threads", [1, 5])
@BUFFERS
def test_a_write_that_fails_half_way(folder: Path, faults: Faults, code: int, threads: int, buffer_size: int) -> None:
    """Injected: half a line that a failed write left is taken back, its line goes to the fallback stream, whole."""
    with storm_in(folder, threads, buffer_size=buffer_size) as (handler, storm):
        storm.blow(100)
        faults.make("write", code)
        storm.blow(100)
        handler.flush()
        assert faults.calls
        assert handler.error_count >= 1
        faults.end()
        eventually(lambda: not handler.is_degraded, "the recovery")


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EBUSY], ids=name_of)
@BUFFERS
def test_a_file_that_cannot_be_opened_after_its_rotation(
    folder: Path, faults: Faults, code: int, buffer_size: int
) -> None:
    """Injected: lines go to the fallback stream until the new file can be made."""
    with storm_in(folder, 5, **ROTATED, buffer_size=buffer_size) as (handler, storm):
        storm.blow(50)
        faults.make("open", code, only="app.log")
        storm.blow(100)
        handler.flush()
        assert "open" in faults.calls
        assert handler.is_degraded
        faults.end()
        eventually(lambda: not handler.is_degraded, "the recovery")


def test_a_file_that_cannot_be_opened_after_its_rotation_by_hand(folder: Path, faults: Faults) -> None:
    """Injected: rotation by hand raises nothing either and says that it failed; lines go to the fallback stream."""
    with storm_in(folder, **ROTATED) as (handler, storm):
        storm.blow(10)
        faults.make("open", errno.EACCES, only="app.log")
        handler.doRollover()
        assert handler.is_degraded
        assert not handler.rotate_now()
        storm.blow(10)
        faults.end()
        eventually(lambda: not handler.is_degraded, "the recovery")


@pytest.mark.parametrize("call", ["fsync", "close"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EBUSY], ids=name_of)
@BUFFERS
def test_a_late_error(folder: Path, faults: Faults, call: str, code: int, buffer_size: int) -> None:
    """Injected: where fsync or close tell of an error, the lines in the file count as written, and once only."""
    with storm_in(folder, 5, **ROTATED, buffer_size=buffer_size, fsync="always") as (handler, storm):
        faults.make(call, code, times=3)
        storm.blow(100)
        handler.flush()
        assert set(faults.calls) == {call}
        faults.end()
        eventually(lambda: not handler.is_degraded, "the recovery")


@pytest.mark.parametrize("delay", [False, True], ids=["at once", "delayed"])
def test_a_disk_that_is_full_from_the_beginning(folder: Path, faults: Faults, delay: bool) -> None:
    """Injected: where not even an empty file can be made the handler is made all the same, and recovers."""
    faults.make("open", errno.ENOSPC, only="app.log")
    with storm_in(folder, 5, delay=delay) as (handler, storm):
        storm.blow(20)
        assert handler.is_degraded
        assert not (folder / "app.log").exists()
        faults.end()
        eventually(lambda: not handler.is_degraded, "the recovery")
    assert (folder / "app.log").exists()
