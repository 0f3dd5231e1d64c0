"""The fallback: whole lines, counted exactly, and a reader that does not read stops nobody."""

import fcntl
import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from dblog import selflog
from dblog.files.fulldisk import fallback as module
from dblog.files.fulldisk.fallback import Fallback, Shown


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end of a small pipe that stands for stderr."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(reading, False)
    monkeypatch.setattr(selflog, "STDERR", writing)
    yield reading
    os.close(reading)
    os.close(writing)


def counts(fallback: Fallback) -> tuple[int, int, int]:
    """Lines printed, left out and lost."""
    return fallback.printed, fallback.shown, fallback.lost


def read_all(reading: int) -> bytes:
    """Everything that is in the pipe now."""
    found = b""
    with suppress(BlockingIOError):
        while chunk := os.read(reading, 65536):
            found += chunk
    return found


@pytest.mark.parametrize("name", ["stderr", "stdout"])
def test_lines_go_to_the_descriptor(capfd: pytest.CaptureFixture[str], name: str) -> None:
    """The chosen standard stream gets the lines as they are, past whatever stands for it in Python."""
    fallback = Fallback(name)  # type: ignore[arg-type]
    fallback.print([b"one\n", "zwei\u20ac\n".encode()])
    captured = capfd.readouterr()
    assert {"stderr": captured.err, "stdout": captured.out} == {
        "stderr": "",
        "stdout": "",
        name: "one\nzwei\u20ac\n",
    }
    assert counts(fallback) == (2, 0, 0)


def test_lines_in_other_encodings_are_readable(capfd: pytest.CaptureFixture[str]) -> None:
    """Lines of a file in UTF-16 or Latin-1 are printed in UTF-8."""
    Fallback("stderr", "utf-16-le").print(["h\u00e9\n".encode("utf-16-le")])
    Fallback("stderr", "latin-1").print(["h\u00e9\n".encode("latin-1")])
    assert capfd.readouterr().err == "h\u00e9\nh\u00e9\n"


def test_what_the_console_shows_is_not_printed_again(capfd: pytest.CaptureFixture[str]) -> None:
    """A line that is marked as shown is left out, and counted."""
    fallback = Fallback()
    fallback.print([b"debug\n", Shown(b"error\n")])
    assert capfd.readouterr().err == "debug\n"
    assert counts(fallback) == (1, 1, 0)


def test_a_pipe_that_nobody_reads(pipe: int) -> None:
    """Lines that the pipe does not take are lost and counted; after the stall, lines are whole again."""
    fallback = Fallback()
    lines = [b"%04d %s\n" % (number, b"x" * 1000) for number in range(100)]
    fallback.print(lines)
    assert fallback.lost > 90
    assert fallback.printed + fallback.lost == 100
    before = read_all(pipe)
    fallback.print([b"heard\n"])
    after = read_all(pipe)
    whole = [line for line in (before + after).splitlines(keepends=True) if line in (*lines, b"heard\n")]
    assert len(whole) == fallback.printed
    assert after.endswith(b"heard\n")


def test_many_threads_and_a_stalled_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first line waits for the pipe: later ones of any thread look whether it takes them, and go on."""
    waits: list[bool] = []

    def write_lines(data: bytes, deadline: float, fd: int | None) -> int:
        waits.append(deadline > time.monotonic())
        return 0

    monkeypatch.setattr(module, "write_lines", write_lines)
    fallback = Fallback()
    threads = [threading.Thread(target=fallback.print, args=([b"line\n"] * 10,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits.count(True) <= 1
    assert counts(fallback) == (0, 0, 200)


def test_many_threads_print_whole_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """Lines of many threads are neither torn nor mixed nor lost, and those of one thread keep their order."""
    fallback = Fallback()

    def print_some(thread: int) -> None:
        for number in range(50):
            fallback.print([b"%d %d %s\n" % (thread, number, b"y" * 700)])

    threads = [threading.Thread(target=print_some, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [line.split() for line in capfd.readouterr().err.splitlines()]
    for each in range(8):
        assert [int(number) for which, number, _ in found if int(which) == each] == list(range(50))
    assert {text for _, _, text in found} == {"y" * 700}
    assert counts(fallback) == (400, 0, 0)


def test_a_closed_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without stderr loses the lines, counts them and gets no error."""
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    monkeypatch.setattr(selflog, "STDERR", writing)
    fallback = Fallback()
    fallback.print([b"unheard\n"] * 3)
    assert counts(fallback) == (0, 0, 3)


def test_a_text_stream() -> None:
    """A stream object gets text; one that is closed loses the lines and raises nothing."""
    stream = io.StringIO()
    fallback = Fallback(stream, "utf-16-le")
    fallback.print(["h\u00e9\n".encode("utf-16-le")])
    assert stream.getvalue() == "h\u00e9\n"
    stream.close()
    fallback.print([b"x\0\n\0"])
    assert counts(fallback) == (1, 0, 1)


class Echo(io.StringIO):
    """A stream that prints on the fallback what is written to it, as a logger in its place would."""

    fallback: Fallback | None = None

    def write(self, text: str) -> int:
        """Print it again."""
        if self.fallback is not None:
            self.fallback.print([b"echo of " + text.encode()])
        return super().write(text)


def test_a_stream_that_logs_itself() -> None:
    """What the stream logs while it is written to is counted as lost instead of going round for ever."""
    stream = Echo()
    fallback = stream.fallback = Fallback(stream)
    fallback.print([b"one\n", b"two\n"])
    assert stream.getvalue() == "one\ntwo\n"
    assert counts(fallback) == (2, 0, 2)


def test_a_line_printed_in_the_middle_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signal handler prints while a line is being written comes after that line, whole."""
    fallback = Fallback()
    written: list[bytes] = []

    def write_lines(data: bytes, deadline: float, fd: int | None) -> int:
        if not written:
            fallback.print([b"from the signal handler\n"])
        written.append(data)
        return len(data)

    monkeypatch.setattr(module, "write_lines", write_lines)
    fallback.print([b"one\n"])
    assert written == [b"one\n", b"from the signal handler\n"]
    assert counts(fallback) == (2, 0, 0)
