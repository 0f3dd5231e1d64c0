"""The last resort: records on stderr, each once, each in one line."""

import os
from collections.abc import Iterator

import pytest

from dblog import selflog
from dblog.columns import LOG_COLUMNS
from dblog.sinks.stderr import StderrSink

NAMES = [column.name for column in LOG_COLUMNS]


def row(message: str = "hello", level: int = 20, exception: str = "\\N") -> bytes:
    """An encoded row."""
    values = {
        "timestamp": "2026-11-21 10:00:00.000000+00",
        "level_no": str(level),
        "level": "INFO",
        "logger_name": "app",
    }
    values |= {"message": message, "exception": exception}
    return "\t".join(values.get(name, "\\N") for name in NAMES).encode() + b"\n"


def test_a_row_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Time, level, logger and message are printed, the traceback behind them, line breaks as escapes."""
    assert StderrSink().print_rows([row("a\\nb"), row("no", exception="Traceback\\nKeyError")], seconds=5) == []
    assert capfd.readouterr().err == (
        "dblog: not stored: 2026-11-21 10:00:00.000000+00 INFO app a\\nb\n"
        "dblog: not stored: 2026-11-21 10:00:00.000000+00 INFO app no Traceback\\nKeyError\n"
    )


def test_nothing_controls_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Control characters are shown as escapes, printable ones of all scripts as they are."""
    StderrSink().print_rows([row("\x1b[31mred\x07 é\u2028😀")], seconds=5)
    assert "\\x1b[31mred\\x07 é\\x2028😀\n" in capfd.readouterr().err


def test_what_the_console_has_is_not_printed_twice(capfd: pytest.CaptureFixture[str]) -> None:
    """Records that a console handler shows already are taken without a word."""
    sink = StderrSink(console_level=30)
    assert sink.print_rows([row("shown", 30), row("quiet", 20), row("loud", 40)], seconds=5) == []
    assert [line.split()[-1] for line in capfd.readouterr().err.splitlines()] == ["quiet"]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end of a pipe that stands for stderr."""
    reading, writing = os.pipe()
    monkeypatch.setattr(selflog, "STDERR", writing)
    yield reading
    os.close(reading)
    os.close(writing)


def test_a_stalled_stderr_gives_the_rest_back(pipe: int) -> None:
    """What a pipe does not take is returned, and no time is spent on it again until it takes lines."""
    rows = [row("x" * 1000) for _ in range(200)]
    sink = StderrSink()
    rest = sink.print_rows(rows, seconds=0.05)
    assert 0 < len(rest) < len(rows)
    assert sink.print_rows(rest, seconds=3600) == rest
    os.read(pipe, 1_000_000)
    assert sink.print_rows([row("short")], seconds=3600) == []
