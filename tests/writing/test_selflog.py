"""What dblog says itself: on the descriptor, once a minute for each topic, and never waiting for a reader."""

import os
import resource
import threading
import time
from collections.abc import Iterator

import pytest

from dblog import selflog
from dblog.selflog import Announcer, write_lines


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end of a pipe that stands for stderr."""
    reading, writing = os.pipe()
    monkeypatch.setattr(selflog, "STDERR", writing)
    yield reading
    os.close(reading)
    os.close(writing)


def test_a_topic_speaks_once_a_minute(capfd: pytest.CaptureFixture[str]) -> None:
    """The same topic is silent for a minute, then says how often it was; other topics are not held back."""
    now = 1000.0
    announcer = Announcer(clock=lambda: now)
    said = [announcer.announce("database", "away") for _ in range(3)]
    announcer.announce("spool", "full")
    now += 59.9
    said.append(announcer.announce("database", "away"))
    now += 0.1
    said.append(announcer.announce("database", "still away"))
    assert said == [True, False, False, False, True]
    assert capfd.readouterr().err == "dblog: away\ndblog: full\n" + ("dblog: still away (3 more times in between)\n")


def test_a_forgotten_topic_speaks_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Where the cause was gone in between, the next announcement is not held back."""
    announcer = Announcer("app", clock=lambda: 1.0)
    announcer.announce("x", "one")
    announcer.forget("x")
    announcer.announce("x", "two")
    assert capfd.readouterr().err == "app: one\napp: two\n"


def test_any_text_can_be_said(capfd: pytest.CaptureFixture[str]) -> None:
    """Lone surrogates, as they stand in names of files, do not stop an announcement."""
    Announcer().announce("x", "bad name \udcff")
    assert capfd.readouterr().err == "dblog: bad name \\udcff\n"


def test_a_process_that_may_have_no_descriptor(pipe: int) -> None:
    """Where the limit of open files is 0 nothing can be said, and nothing is raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        written = write_lines(b"line\n", time.monotonic() + 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert written == 0


def test_a_reader_gets_everything(pipe: int) -> None:
    """Much more than a pipe holds is written in order while somebody reads."""
    data, found = os.urandom(300_000), bytearray()

    def read() -> None:
        while len(found) < len(data):
            found.extend(os.read(pipe, 65536))

    reader = threading.Thread(target=read)
    reader.start()
    assert write_lines(data, time.monotonic() + 30) == len(data)
    reader.join()
    assert found == data


def test_a_pipe_that_nobody_reads_stops_nobody(pipe: int) -> None:
    """When the pipe is full, writing ends at the deadline and tells how much was written."""
    written = write_lines(b"x" * 10_000_000, time.monotonic() + 0.05)
    assert 0 < written < 10_000_000
    assert write_lines(b"x", time.monotonic()) == 0
    Announcer().announce("x", "unheard")


def test_a_closed_stderr_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without stderr, or one whose reader is gone, loses the words and nothing else."""
    reading, writing = os.pipe()
    monkeypatch.setattr(selflog, "STDERR", writing)
    os.close(reading)
    assert write_lines(b"unheard\n", time.monotonic() + 30) == 0
    os.close(writing)
    assert write_lines(b"unheard\n", time.monotonic() + 30) == 0
