"""Logging from where nobody expects it: signal handlers, finalizers, the middle of a write."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dblog.files.handler import ResilientRotatingFileHandler

MakeHandler = Callable[..., ResilientRotatingFileHandler]


class Interrupt(BaseException):
    """What the signal handler of an application may raise."""


def record(message: str) -> logging.LogRecord:
    """A record as a logger makes it."""
    return logging.LogRecord("app", logging.INFO, __file__, 1, message, None, None)


@contextmanager
def on_alarm(action: Callable[[], object]) -> Iterator[None]:
    """Do something in a signal handler whenever an alarm comes, which is often."""
    before = signal.signal(signal.SIGALRM, lambda *_: action())
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("buffer_size", [0, 2000])
def test_a_signal_handler_may_log(make_handler: MakeHandler, tmp_path: Path, buffer_size: int) -> None:
    """A signal handler logs in the middle of writes and rotations, and no line is lost, torn or doubled."""
    handler = make_handler(maxBytes=5000, backupCount=1000, buffer_size=buffer_size)
    signalled: list[str] = []

    def log() -> None:
        signalled.append(f"signal {len(signalled)}")
        handler.handle(record(signalled[-1]))

    logged = 0
    with on_alarm(log):
        while len(signalled) < 50:
            handler.handle(record(f"main {logged}"))
            logged += 1
    handler.close()
    lines = [line for path in tmp_path.glob("app.log*") for line in path.read_text(encoding="utf-8").splitlines()]
    assert sorted(lines) == sorted(signalled + [f"main {number}" for number in range(logged)])


def test_a_signal_handler_may_raise(make_handler: MakeHandler, log_path: Path) -> None:
    """Whatever a signal handler raises, lines stay whole, and those whose call returned are there once."""
    handler = make_handler()
    returned = []
    armed = False

    def interrupt() -> None:
        nonlocal armed
        if armed:
            armed = False
            raise Interrupt

    number = 0
    with on_alarm(interrupt):
        for _ in range(30):
            try:
                armed = True
                while True:
                    number += 1
                    handler.handle(record(f"main {number}"))
                    returned.append(f"main {number}")
            except Interrupt:
                continue
    handler.close()
    lines = log_path.read_text(encoding="utf-8").splitlines()
    assert set(returned) <= set(lines) <= {f"main {each}" for each in range(number + 1)}
    assert len(lines) == len(set(lines))


def test_a_signal_handler_may_raise_after_others_have_written(make_handler: MakeHandler, log_path: Path) -> None:
    """An interrupted call removes nothing that another writer has put into the file meanwhile."""
    handler = make_handler()
    other = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    foreign = 0

    def interrupt() -> None:
        nonlocal foreign
        os.write(other, b"other %d\n" % foreign)
        foreign += 1
        raise Interrupt

    number = 0
    before = signal.signal(signal.SIGALRM, lambda *_: interrupt())
    for _ in range(100):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            while True:
                number += 1
                handler.handle(record(f"main {number}"))
        except Interrupt:
            continue
    signal.signal(signal.SIGALRM, before)
    os.close(other)
    handler.close()
    lines = log_path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("other")] == [f"other {each}" for each in range(foreign)]
    assert len(lines) == len(set(lines))


def test_a_write_that_logs_comes_to_an_end(
    make_handler: MakeHandler, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is logged by the very thread in the middle of its own write is written by that thread, afterwards."""
    handler = make_handler()
    write = os.write
    depth: list[int] = []

    def logging_write(fd: int, data: bytes) -> int:
        if handler.stream is not None and fd == handler.stream.fileno() and not depth:
            depth.append(1)
            handler.handle(record("from within"))
        return write(fd, data)

    monkeypatch.setattr(os, "write", logging_write)
    handler.handle(record("one"))
    assert log_path.read_text(encoding="utf-8") == "one\nfrom within\n"


def test_closing_in_the_middle_of_a_write(
    make_handler: MakeHandler, log_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A signal handler that closes the handler in the middle of a write closes it afterwards, and says nothing."""
    handler = make_handler()
    write = os.write

    def closing_write(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        handler.close()
        return write(fd, data)

    monkeypatch.setattr(os, "write", closing_write)
    handler.handle(record("one"))
    assert log_path.read_text(encoding="utf-8") == "one\n"
    assert handler.stream is None
    assert not capfd.readouterr().err


def test_other_threads_go_on_after_an_interrupt(make_handler: MakeHandler, log_path: Path) -> None:
    """An exception in the middle of a write leaves no lock behind."""
    handler = make_handler(buffer_size=1000, flush_interval=3600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", _interrupted)
        handler.handle(record("one"))
        with pytest.raises(Interrupt):
            handler.flush()
    thread = threading.Thread(target=lambda: (handler.handle(record("two")), handler.flush()))
    thread.start()
    thread.join()
    assert log_path.read_text(encoding="utf-8") == "one\ntwo\n"


def _interrupted(fd: int, data: bytes) -> int:
    raise Interrupt
