"""Threads that cannot be had, or whose start a signal handler interrupts: later ones take up what they should do."""

import io
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually

from dblog.files import flusher, monitor
from dblog.files.fulldisk import recovery
from dblog.files.handler import ResilientRotatingFileHandler
from dblog.files.rotated import compression
from dblog.files.threads import Background

LONG = "x" * 60
ROTATING: dict[str, Any] = {"maxBytes": 100, "backupCount": 9, "compression": "gzip"}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    (flusher.THREAD, "app.log", {"buffer_size": 65_536}),
    (compression.THREAD, "app.log", ROTATING),
    (monitor.THREAD, "app.log", {"retention_days": 1}),
    (recovery.THREAD, "/dev/full", {"recovery_check_interval_sec": 0.01}),
]


Start = Callable[[threading.Thread], None]
really_start: Start = threading.Thread.start


class Interrupt(BaseException):
    """What a signal handler may raise."""


def record(message: str) -> logging.LogRecord:
    """A record as a logger makes it."""
    return logging.LogRecord("app", logging.INFO, __file__, 1, message, None, None)


@contextmanager
def first_start(name: str, action: Start) -> Iterator[list[threading.Thread]]:
    """Do something else where the first thread of that name is started; gives those that were started after it."""
    met: list[threading.Thread] = []
    started: list[threading.Thread] = []

    def begin(thread: threading.Thread) -> None:
        if thread.name == name and not met:
            met.append(thread)
            action(thread)
        elif thread.name == name:
            started.append(thread)
            really_start(thread)
        else:
            really_start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", begin)
        yield started


def refused(_: threading.Thread) -> None:
    """The system has no thread left."""
    raise RuntimeError("can't start new thread")


def interrupted(_: threading.Thread) -> None:
    """A signal handler raises before the thread runs."""
    raise Interrupt


def interrupted_late(thread: threading.Thread) -> None:
    """A signal handler raises when the thread runs already."""
    really_start(thread)
    raise Interrupt


def closing_by_signal(thread: threading.Thread) -> None:
    """A signal handler closes the handler before the thread runs."""
    signal.raise_signal(signal.SIGUSR1)
    really_start(thread)


@pytest.mark.parametrize("action", [refused, interrupted, interrupted_late])
@pytest.mark.parametrize(("name", "path", "arguments"), CASES, ids=[name for name, _, _ in CASES])
def test_a_thread_that_does_not_start_is_started_later(
    tmp_path: Path, action: Start, name: str, path: str, arguments: dict[str, Any]
) -> None:
    """Whatever keeps a thread from starting, logging goes on, the next call that needs it tries again, close works."""
    stream = io.StringIO()
    with (
        first_start(name, action) as started,
        closing(ResilientRotatingFileHandler(tmp_path / path, fallback_stream=stream, **arguments)) as handler,
    ):

        def log() -> bool:
            with suppress(Interrupt):
                handler.handle(record(LONG))
            return bool(started)

        eventually(log)
    eventually(lambda: not any(thread.is_alive() for thread in started))


def test_nothing_waits_for_a_thread_that_never_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be had at all, lines are in the file when their call returns, and files are rotated."""
    path = tmp_path / "app.log"
    monkeypatch.setattr(threading.Thread, "start", refused)
    with closing(ResilientRotatingFileHandler(path, buffer_size=65_536, **ROTATING)) as handler:
        for number in range(6):
            handler.handle(record(f"{number} {LONG}"))
            assert path.read_text() == f"{number} {LONG}\n"
    assert handler.metrics().rotation_count == 5


def test_a_rotation_is_complete_where_its_compression_is_interrupted(tmp_path: Path) -> None:
    """What a signal handler raises while the compression begins leaves the new file open for the next record."""
    path = tmp_path / "app.log"
    with (
        closing(ResilientRotatingFileHandler(path, **ROTATING)) as handler,
        first_start(compression.THREAD, interrupted),
    ):
        handler.handle(record(f"one {LONG}"))
        with pytest.raises(Interrupt):
            handler.handle(record(f"two {LONG}"))
        assert handler.stream is not None
        assert path.stat().st_size == 0
        handler.flush()
        assert path.read_text() == f"two {LONG}\n"


@pytest.mark.parametrize(("name", "arguments"), [(compression.THREAD, ROTATING), (flusher.THREAD, {"buffer_size": 99})])
def test_a_signal_handler_closes_while_a_thread_is_started(
    tmp_path: Path, name: str, arguments: dict[str, Any]
) -> None:
    """A signal handler that closes the handler while its own thread starts another one waits for nobody."""
    handler = ResilientRotatingFileHandler(tmp_path / "app.log", **arguments)
    before = signal.signal(signal.SIGUSR1, lambda *_: handler.close())
    try:
        with first_start(name, closing_by_signal):
            for _ in range(3):
                handler.handle(record(LONG))
    finally:
        signal.signal(signal.SIGUSR1, before)
        handler.close()
    assert handler.metrics().state == "closed"


def test_a_thread_that_has_ended_is_replaced() -> None:
    """Where the work comes to its end, the next start has it done again."""
    runs: list[threading.Thread] = []

    background = Background(lambda: runs.append(threading.current_thread()), "work", threading.RLock())
    for number in (1, 2):
        assert background.start()
        eventually(lambda: not background.is_running)
        runs[-1].join()
        assert len(runs) == number
    background.join()
