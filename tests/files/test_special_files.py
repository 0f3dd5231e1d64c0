"""Pipes and devices as log files, and processes without standard streams."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from logging import INFO, LogRecord
from pathlib import Path

import pytest
from eventually import PATIENCE, eventually
from programs import IMPORTABLE, TIMEOUT

from dblog import ResilientRotatingFileHandler

MakeHandler = Callable[..., ResilientRotatingFileHandler]

TO_STDOUT = """
import sys
from logging import INFO, LogRecord
from dblog import ResilientRotatingFileHandler
handler = ResilientRotatingFileHandler(sys.argv[1], maxBytes=10, backupCount=2, retention_days=1, max_total_bytes=100)
for number in range(100):
    handler.handle(LogRecord("app", INFO, "", 1, f"out {number}", None, None))
assert not handler.rotate_now()
assert handler.clean() == 0
handler.close()
"""

WITHOUT_STREAMS = """
import os, sys
from contextlib import closing
from logging import INFO, LogRecord
from dblog import ResilientRotatingFileHandler
from dblog.selflog import Announcer
os.closerange(0, 3)
handler = ResilientRotatingFileHandler(sys.argv[1], maxBytes=100, backupCount=9, multi_process=True)
with closing(handler):
    for number in range(20):
        handler.handle(LogRecord("app", INFO, "", 1, f"line {number}", None, None))
        assert handler.stream.fileno() > 2
        Announcer().announce("x", "what dblog says")
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            continue
        os._exit(1)
"""


def record(message: str) -> LogRecord:
    """A record as a logger makes it."""
    return LogRecord("app", INFO, __file__, 1, message, None, None)


def run(code: str, *arguments: object, stdout: int | None = None) -> None:
    """Run Python code in a process of its own; nothing may be on its stderr."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": IMPORTABLE},
        check=False,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_device_is_written_again_when_a_line_is(
    make_handler: MakeHandler, log_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A device that can be opened and takes nothing stays degraded, and is written again once it takes a line."""
    log_path.symlink_to("/dev/full")
    handler = make_handler(recovery_check_interval_sec=0.01)
    handler.handle(record("one"))
    looks_after = handler._writer.outlet.standby.recovery.diverts
    for attempts in (1, 2, 3):
        eventually(lambda: not looks_after(), "the next line's turn")
        assert handler.is_degraded
        assert handler.recovery_attempts >= attempts
        handler.handle(record("two"))
    assert "is written again" not in capfd.readouterr().err
    log_path.unlink()
    log_path.symlink_to("/dev/null")
    eventually(lambda: not looks_after(), "the next line's turn")
    handler.handle(record("three"))
    assert not handler.is_degraded
    assert "is written again" in capfd.readouterr().err


def test_a_pipe_that_nobody_reads_any_more(make_handler: MakeHandler, log_path: Path) -> None:
    """Lines go to the fallback stream, nobody waits, and the next reader gets the next lines."""
    os.mkfifo(log_path)
    reader = os.open(log_path, os.O_RDONLY | os.O_NONBLOCK)
    handler = make_handler(recovery_check_interval_sec=0.01)
    handler.handle(record("one"))
    assert os.read(reader, 100) == b"one\n"
    os.close(reader)
    handler.handle(record("two"))
    eventually(lambda: handler.recovery_attempts > 2, "a few tries")
    assert handler.flush(PATIENCE)
    assert handler.is_degraded
    reader = os.open(log_path, os.O_RDONLY | os.O_NONBLOCK)
    eventually(lambda: not handler.is_degraded, "the recovery")
    handler.handle(record("three"))
    assert os.read(reader, 100) == b"three\n"
    os.close(reader)


def test_a_pipe_that_nobody_reads_yet(log_path: Path) -> None:
    """A handler can be made before somebody reads its pipe, and does not wait for that."""
    os.mkfifo(log_path)
    with closing(ResilientRotatingFileHandler(log_path, recovery_check_interval_sec=0.01)) as handler:
        assert handler.is_degraded
        reader = os.open(log_path, os.O_RDONLY | os.O_NONBLOCK)
        eventually(lambda: not handler.is_degraded, "the recovery")
        os.close(reader)


@pytest.mark.parametrize("linked", [False, True], ids=["by its name", "by a link"])
def test_the_standard_output_in_a_file(tmp_path: Path, linked: bool) -> None:
    """`/dev/stdout` is never rotated, cut or looked around at, not even where it is a regular file."""
    path = Path("/dev/stdout")
    if linked:
        (path := tmp_path / "app.log").symlink_to("/dev/stdout")
    target = tmp_path / "out.txt"
    with target.open("wb") as output:
        run(TO_STDOUT, path, stdout=output.fileno())
    assert target.read_text(encoding="utf-8") == "".join(f"out {number}\n" for number in range(100))
    assert [each.name for each in Path("/dev").glob("*stdout*")] == ["stdout"]
    assert {each.name for each in tmp_path.iterdir()} <= {"out.txt", "app.log"}


def test_a_process_without_standard_streams(log_path: Path) -> None:
    """Where the descriptors of the standard streams are free, no file takes their place: nothing said goes into it."""
    run(WITHOUT_STREAMS, log_path)
    lines = [line for path in log_path.parent.glob("app.log*") for line in path.read_text("utf-8").splitlines()]
    assert sorted(lines) == sorted(f"line {number}" for number in range(20))
