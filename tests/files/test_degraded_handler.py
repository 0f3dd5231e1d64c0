"""The handler while its file cannot be written: on disks that are really full, in folders that are really gone."""

import fcntl
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disks import fill, small_disk
from eventually import eventually

from dblog import ResilientRotatingFileHandler, selflog
from dblog.files.fulldisk.notify import StateChange

INTERVAL = 0.05

Make = Callable[..., tuple[ResilientRotatingFileHandler, logging.Logger]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes a handler that looks for room often, and a logger that leads to it."""
    made: list[ResilientRotatingFileHandler] = []

    def handler(live: Path, **arguments: object) -> tuple[ResilientRotatingFileHandler, logging.Logger]:
        chosen = {"recovery_check_interval_sec": INTERVAL, "emergency_cleanup_threshold_mb": 0, **arguments}
        made.append(ResilientRotatingFileHandler(live, **chosen))  # type: ignore[arg-type]
        logger = logging.Logger("degraded")
        logger.addHandler(made[-1])
        return made[-1], logger

    yield handler
    for each in made:
        each.close()


def recovers(handler: ResilientRotatingFileHandler) -> None:
    """Wait until the file is written again."""
    eventually(lambda: not handler.is_degraded, "the recovery")


def looks_twice(handler: ResilientRotatingFileHandler) -> None:
    """Wait until the thread has looked for room twice more."""
    looked = handler.recovery_attempts
    eventually(lambda: handler.recovery_attempts >= looked + 2, "two looks")


def test_full_free_and_full_again(tmp_path: Path, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """Lines go to stderr while the disk is full and to the file while it is not; attributes and callback tell it."""
    told: list[StateChange] = []
    states: list[str] = []
    with small_disk(tmp_path / "disk", 4) as folder:
        live = folder / "app.log"
        handler, logger = make(live, on_state_change=told.append)
        figures = (handler.is_degraded, handler.error_count, handler.last_error_time, handler.recovery_attempts)
        assert figures == (False, 0, None, 0)
        for round_ in (1, 2):
            logger.info("file %d", round_)
            ballast = fill(folder)
            logger.info("stderr %d %s", round_, "x" * 4096)
            assert handler.is_degraded
            states.append(handler.metrics().state)
            looks_twice(handler)
            ballast.unlink()
            recovers(handler)
        logger.info("file 3")
        assert handler.error_count >= 2
        assert handler.last_error_time is not None
        handler.close()
        assert live.read_text() == "file 1\nfile 2\nfile 3\n"
        assert handler.metrics().write_errors == 2
    assert [change.state for change in told] == ["degraded", "normal"] * 2
    assert states == ["degraded"] * 2
    err = capfd.readouterr().err
    assert [line[:8] for line in err.splitlines() if line.startswith("stderr")] == ["stderr 1", "stderr 2"]
    assert f"{live} cannot be written since" in err
    assert f"{live} is written again after" in err


def test_a_short_write(tmp_path: Path, make: Make) -> None:
    """A block of which the disk takes only a part leaves its whole lines in the file; the rest is on the fallback."""
    with small_disk(tmp_path / "disk", 4) as folder, (tmp_path / "fallback").open("w+") as stream:
        live = folder / "app.log"
        handler, logger = make(live, buffer_size=1_000_000, flush_interval=3600, fallback_stream=stream)
        os.truncate(ballast := fill(folder), ballast.stat().st_size - 20_000)
        emitted = [f"{number:05d} {'x' * 93}" for number in range(1000)]
        for line in emitted:
            logger.info(line)
        handler.flush()
        in_file, on_stream = live.read_text().splitlines(), (tmp_path / "fallback").read_text().splitlines()
        assert len(in_file) > 100
        assert len(on_stream) > 100
        assert in_file + on_stream == emitted
        figures = handler.metrics()
        assert (figures.lines_written, figures.fallback_lines) == (len(in_file), len(on_stream))


def test_started_on_a_full_disk(tmp_path: Path, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """A handler that is made while the disk is full raises nothing, and writes its file once there is room."""
    with small_disk(tmp_path / "disk", 4) as folder:
        ballast = fill(folder)
        handler, logger = make(folder / "logs" / "app.log")
        logger.info("for stderr %s", "x" * 4096)
        assert "for stderr" in capfd.readouterr().err
        ballast.unlink()
        recovers(handler)
        logger.info("for the file")
        assert (folder / "logs" / "app.log").read_text() == "for the file\n"
        handler.close()


def test_nobody_waits_for_the_cleanup(tmp_path: Path, make: Make) -> None:
    """While another thread has the files for itself, as a clean-up does, lines of a degraded file find their way."""
    (tmp_path / "logs").write_text("no folder")
    with (tmp_path / "fallback").open("w+") as stream:
        (tmp_path / "logs").unlink()
        handler, logger = make(
            tmp_path / "logs" / "app.log", fallback_stream=stream, recovery_check_interval_sec=3600, delay=True
        )
        (tmp_path / "logs").write_text("no folder")
        logger.info("one")
        assert handler.is_degraded
        with handler._writer.lock:
            other = threading.Thread(target=logger.info, args=("two",))
            other.start()
            other.join(30.0)
            assert not other.is_alive()
        assert (tmp_path / "fallback").read_text() == "one\ntwo\n"


def test_a_folder_that_is_gone_and_comes_back(tmp_path: Path, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """A deleted folder is made anew; while something else has its name, lines go to stderr."""
    logs = tmp_path / "logs"
    handler, logger = make(logs / "app.log")
    logger.info("one")
    shutil.rmtree(logs)
    logger.info("two")
    assert (logs / "app.log").read_text() == "two\n"
    assert handler.error_count == 0
    shutil.rmtree(logs)
    logs.write_text("no folder")
    logger.info("three")
    assert handler.is_degraded
    logs.unlink()
    recovers(handler)
    logger.info("four")
    assert (logs / "app.log").read_text() == "four\n"
    assert "three" in capfd.readouterr().err


def test_a_stalled_stderr(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full disk and a stderr that nobody reads, calls return, and each line is printed or counted as lost."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    monkeypatch.setattr(selflog, "STDERR", writing)
    try:
        with small_disk(tmp_path / "disk", 4) as folder:
            handler, logger = make(folder / "app.log")
            fill(folder)
            for number in range(200):
                logger.info("%d %s", number, "x" * 1000)
            figures = handler.metrics()
            handler.close()
    finally:
        os.close(reading)
        os.close(writing)
    assert figures.lost_lines > 100
    assert figures.lines_written + figures.fallback_lines + figures.lost_lines == 200


def test_what_the_console_shows_is_not_printed_again(
    tmp_path: Path, make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    """Records from `console_level` on, which are on the console already, are left out by the fallback, and counted."""
    with small_disk(tmp_path / "disk", 4) as folder:
        live = folder / "app.log"
        handler, logger = make(live, console_level="WARNING")
        logger.warning("in the file")
        ballast = fill(folder)
        for level in (logging.INFO, logging.WARNING, logging.ERROR):
            logger.log(level, "%d %s", level, "x" * 4096)
        assert [line[:3] for line in capfd.readouterr().err.splitlines() if "xxx" in line] == ["20 "]
        assert handler.metrics().fallback_lines == 3
        ballast.unlink()
        recovers(handler)
        logger.error("in the file")
        assert live.read_text() == "in the file\n" * 2
        handler.close()


def test_a_line_beyond_the_total(tmp_path: Path, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """A line that alone exceeds `max_total_bytes` goes to stderr; the file goes on, and no rotated file is given up."""
    handler, logger = make(tmp_path / "app.log", maxBytes=500, backupCount=2, max_total_bytes=1000)
    for number in (1, 2):
        logger.info("%d %s", number, "x" * 200)
    logger.info("3 %s", "x" * 3000)
    logger.info("4")
    figures = handler.metrics()
    assert (figures.state, figures.lines_written, figures.fallback_lines, figures.removed_files) == ("normal", 3, 1, 0)
    assert (figures.refused_lines, handler.error_count) == (1, 1)
    assert handler.last_error_time is not None
    err = capfd.readouterr().err
    assert "3 xxx" in err
    assert "leaves no room for 1 lines: it takes 0 bytes, its rotated files" in err


def test_closed_while_degraded(tmp_path: Path, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """Closing a degraded handler ends its threads; what is logged later tries the file once an interval."""
    with small_disk(tmp_path / "disk", 4) as folder:
        live = folder / "app.log"
        handler, logger = make(live, buffer_size=65_536)
        ballast = fill(folder)
        logger.error("one %s", "x" * 4096)
        logger.info("two")
        handler.close()
        logger.info("three")
        assert [line[:3] for line in capfd.readouterr().err.splitlines()][-3:] == ["one", "two", "thr"]
        ballast.unlink()

        def written() -> str:
            logger.info("four")
            return live.read_text()

        eventually(written, "the way back")
        assert set(live.read_text().splitlines()) == {"four"}
        assert not handler.is_degraded
