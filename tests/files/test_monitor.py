"""What happens to files while nobody logs, and that nothing runs where nothing is needed."""

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually

from dblog import ResilientRotatingFileHandler
from dblog.config import file_settings
from dblog.files import monitor as module
from dblog.files.monitor import LOOK, THREAD, Monitor, Upkeep, monitor, upkeep_for
from dblog.selflog import Announcer

DAY = 86_400.0


class Writer:
    """A writer that counts what is asked of it."""

    def __init__(self) -> None:
        self.due_at = math.inf
        self.written = 0
        self.calls: list[str] = []
        self.error: OSError | None = None

    def rotate_if_due(self) -> bool:
        """Rotate; the next time is an hour later."""
        self.calls.append("rotate")
        self.due_at += 3600
        return True

    def clean(self) -> int:
        """Clean up, or fail."""
        self.calls.append("clean")
        if self.error is not None:
            raise self.error
        return 0

    def compress(self) -> None:
        """Compress."""
        self.calls.append("compress")

    def lines(self) -> int:
        """Lines so far."""
        return self.written

    def asked(self) -> list[str]:
        """What was asked since the last time."""
        calls, self.calls = self.calls, []
        return calls


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def writer() -> Writer:
    """A writer."""
    return Writer()


def test_a_quiet_file_is_rotated_when_it_is_due(writer: Writer, clock: Clock) -> None:
    """Rotation by time needs no record: it comes at its time, and the next look is at the time after it."""
    writer.due_at = clock.now + 10
    upkeep = Upkeep(writer, interval=math.inf, defers=False, clock=clock)
    assert upkeep.tend() == 10
    assert "rotate" not in writer.asked()
    clock.now += 10
    assert upkeep.tend() == LOOK
    assert writer.asked() == ["rotate"]


def test_a_rotation_that_fails_is_not_tried_without_a_pause(writer: Writer, clock: Clock) -> None:
    """What stays due is looked at again after a minute."""
    writer.due_at = clock.now - 7200
    assert Upkeep(writer, interval=math.inf, defers=False, clock=clock).tend() == LOOK


def test_clean_up_comes_with_the_first_quiet_and_then_once_an_interval(writer: Writer, clock: Clock) -> None:
    """Old files go soon after the start and then once in each interval."""
    upkeep = Upkeep(writer, interval=DAY, defers=False, clock=clock)
    assert upkeep.tend() == LOOK
    assert writer.asked() == ["clean"]
    clock.now += DAY - 5
    assert upkeep.tend() == 5
    assert writer.asked() == []
    clock.now += 5
    upkeep.tend()
    assert writer.asked() == ["clean"]


def test_much_traffic_puts_work_off_but_not_for_ever(writer: Writer, clock: Clock) -> None:
    """Clean-up and compression wait while many lines are written, for one interval at most."""
    upkeep = Upkeep(writer, interval=DAY, defers=True, clock=clock)
    for _ in range(24):
        clock.now += 3599
        writer.written += 3599 * 200
        upkeep.tend()
        assert writer.asked() == []
    clock.now += 3599
    writer.written += 3599 * 200
    upkeep.tend()
    assert writer.asked() == ["compress", "clean"]


def test_deferred_compression_comes_with_quiet(writer: Writer, clock: Clock) -> None:
    """With little traffic, rotated files are compressed at the next look."""
    upkeep = Upkeep(writer, interval=math.inf, defers=True, clock=clock)
    clock.now += LOOK
    writer.written += int(LOOK)
    upkeep.tend()
    assert "compress" in writer.asked()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, False),
        ({"maxBytes": 10, "backupCount": 1, "compression": "gzip"}, False),
        ({"when": "daily"}, True),
        ({"retention_days": 30}, True),
        ({"compression": "gzip", "compress_at_once": False}, True),
    ],
    ids=range(5),
)
def test_only_what_asks_for_it_is_looked_after(arguments: dict[str, object], wanted: bool, writer: Writer) -> None:
    """Settings that need nothing while it is quiet cost no thread."""
    settings = file_settings({"filename": "app.log", **arguments})
    assert (upkeep_for(writer, settings) is not None) == wanted


@pytest.fixture
def own_monitor() -> Iterator[Monitor]:
    """A monitor of one's own."""
    made = Monitor(Announcer())
    yield made
    for upkeep in list(made._due):
        made.detach(upkeep)


def threads() -> list[str]:
    """The names of the threads that look after writers."""
    return [thread.name for thread in threading.enumerate() if thread.name == THREAD]


def test_one_thread_looks_after_all_and_ends_with_the_last(own_monitor: Monitor) -> None:
    """Two writers share a thread, the trouble of one does not end it, and without writers there is none."""
    broken, fine = Writer(), Writer()
    broken.error = OSError("gone")
    first, second = (Upkeep(each, interval=DAY, defers=False) for each in (broken, fine))
    own_monitor.attach(first)
    own_monitor.attach(first)
    eventually(lambda: "clean" in broken.calls, "a clean-up of the first")
    own_monitor.attach(second)
    eventually(lambda: "clean" in fine.calls, "a clean-up of the second")
    assert threads() == [THREAD]
    own_monitor.detach(first)
    own_monitor.detach(second)
    own_monitor.detach(second)
    eventually(lambda: not threads(), "the end of the thread")


def test_a_handler_cleans_while_nothing_is_logged(tmp_path: Path) -> None:
    """A file that is too old goes without a further record, and the thread ends with the handler."""
    old, young = tmp_path / "app.log.2", tmp_path / "app.log.1"
    for path, age in ((old, 10 * DAY), (young, DAY)):
        path.write_text("x\n")
        os.utime(path, (time.time() - age, time.time() - age))
    handler = ResilientRotatingFileHandler(tmp_path / "app.log", retention_days=5)
    try:
        handler.emit(logging.makeLogRecord({"msg": "one", "levelno": 20}))
        eventually(lambda: not old.exists(), "the old file to go")
        assert young.exists()
        assert threads() == [THREAD]
    finally:
        handler.close()
    eventually(lambda: not threads(), "the end of the thread")


def test_a_handler_rotates_while_nothing_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rotation by time the file is put away when its time comes, without a further record."""
    monkeypatch.setattr(module, "LOOK", 0.01)
    handler = ResilientRotatingFileHandler(tmp_path / "app.log", when="S", interval=1)
    try:
        handler.emit(logging.makeLogRecord({"msg": "one", "levelno": 20}))
        eventually((tmp_path / "app.log.1").exists, "a rotation")
        assert (tmp_path / "app.log.1").read_text() == "one\n"
    finally:
        handler.close()


def test_a_forked_child_looks_after_nothing_until_it_writes(tmp_path: Path) -> None:
    """The files of the parent are the parent's: a child has no monitor before its first record, and one after it."""
    handler = ResilientRotatingFileHandler(tmp_path / "app.log", retention_days=5)
    try:
        handler.emit(logging.makeLogRecord({"msg": "parent", "levelno": 20}))
        child = os.fork()
        if child == 0:
            before = len(monitor._due)
            handler.emit(logging.makeLogRecord({"msg": "child", "levelno": 20}))
            os._exit(10 * before + len(monitor._due))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    finally:
        handler.close()
