"""Several processes and one file."""

import fcntl
import logging
import shutil
import stat
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from eventually import eventually
from programs import run_in_background

from dblog.files.handler import ResilientRotatingFileHandler
from dblog.files.sharedlock import SharedLock

APP = Path(__file__).with_name("sharing_app.py")
RECORDS = 500


@pytest.mark.parametrize("buffer_size", [0, 1000])
def test_nothing_is_lost_between_processes(tmp_path: Path, buffer_size: int) -> None:
    """Four processes rotate one file hundreds of times, and each line of each is there once, whole and in order."""
    path = tmp_path / "logs" / "app.log"
    programs = []
    for each in range(4):
        folder = tmp_path / str(each)
        folder.mkdir()
        programs.append(run_in_background(APP, (path, each, RECORDS, buffer_size), (), (), folder))
    for program in programs:
        program.finish()
    lines = [line for file in path.parent.glob("app.log*") for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(lines) == sorted(f"{each} {number}" for each in range(4) for number in range(RECORDS))
    assert all(file.stat().st_size < 2000 for file in path.parent.glob("app.log*"))


def test_a_killed_process_holds_up_nobody(tmp_path: Path) -> None:
    """The lock between processes goes with the one that had it."""
    path = tmp_path / "app.log"
    killed = run_in_background(APP, (path, "killed", 1_000_000, 0), (), (), tmp_path)
    eventually(path.exists)
    killed.process.kill()
    killed.process.wait()
    run_in_background(APP, (path, "other", RECORDS, 0), (), (), tmp_path).finish()
    lines = [line for file in path.parent.glob("app.log*") for line in file.read_text(encoding="utf-8").splitlines()]
    expected = sorted(f"other {number}" for number in range(RECORDS))
    assert sorted(line for line in lines if line.startswith("other ")) == expected


def test_a_folder_that_is_missing(log_path: Path, make_handler: Callable[..., ResilientRotatingFileHandler]) -> None:
    """The folder is made for the first line, and again after somebody has deleted it with all that is in it."""
    folder = log_path.parent / "new" / "logs"
    handler = make_handler(filename=folder / "app.log", multi_process=True, delay=True, dir_mode=0o700)
    for text in ("one", "two"):
        handler.handle(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))
        assert not handler.is_degraded
        assert (folder / "app.log").read_text(encoding="utf-8") == f"{text}\n"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        shutil.rmtree(folder)


def test_a_lock_file_that_was_deleted(log_path: Path) -> None:
    """Whoever has a deleted lock file open locks the one that others find, too."""
    with closing(SharedLock(log_path, 0o640, 0o750)) as lock:
        with lock:
            pass
        lock.path.unlink()
        lock.path.touch()
        with lock, lock.path.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("naming", ["index", "timestamp"])
def test_a_total_holds_for_all_writers_together(tmp_path: Path, naming: str) -> None:
    """However writers of one file take turns, each knows what the others have rotated: the total is never exceeded."""
    path = tmp_path / "app.log"
    with ExitStack() as stack:
        handlers = [
            stack.enter_context(
                closing(
                    ResilientRotatingFileHandler(
                        path, maxBytes=2000, max_total_bytes=10_000, multi_process=True, naming=naming
                    )
                )
            )
            for _ in range(2)
        ]
        for number in range(1000):
            if number % 97 == 0:
                handlers[0].reopen()
            handlers[number // 45 % 2].handle(logging.makeLogRecord({"msg": "x" * 99}))
            assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10_000
    assert sum(handler.metrics().lines_written for handler in handlers) == 1000
