"""The handler as an application uses it."""

import logging
import logging.config
import logging.handlers
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from eventually import eventually

from dblog.errors import ConfigurationError
from dblog.files.handler import ResilientRotatingFileHandler
from dblog.files.timed import ResilientTimedRotatingFileHandler

MakeHandler = Callable[..., ResilientRotatingFileHandler]
BUFFER = 64 * 1024


def record(message: object, level: int = logging.INFO) -> logging.LogRecord:
    """A record as a logger makes it."""
    return logging.LogRecord("app", level, __file__, 1, message, None, None)


def test_a_record_is_in_the_file_when_its_call_returns(make_handler: MakeHandler, log_path: Path) -> None:
    """Without a buffer nothing waits."""
    make_handler().handle(record("one"))
    assert log_path.read_text(encoding="utf-8") == "one\n"


def test_a_buffered_record_waits_for_the_interval(make_handler: MakeHandler, log_path: Path) -> None:
    """With a buffer a record is written by the thread, without another call."""
    make_handler(buffer_size=BUFFER, flush_interval=0.01).handle(record("one"))
    eventually(lambda: log_path.read_text(encoding="utf-8") == "one\n")


def test_an_error_is_written_at_once_with_all_before_it(make_handler: MakeHandler, log_path: Path) -> None:
    """A record of the flush level brings what waits into the file before its call returns."""
    handler = make_handler(buffer_size=BUFFER, flush_interval=3600)
    handler.handle(record("one"))
    assert log_path.read_text(encoding="utf-8") == ""
    handler.handle(record("two", logging.ERROR))
    assert log_path.read_text(encoding="utf-8") == "one\ntwo\n"


def test_a_full_block_is_written_by_the_call_that_fills_it(make_handler: MakeHandler, log_path: Path) -> None:
    """The buffer never holds much more than its size."""
    handler = make_handler(buffer_size=100, flush_interval=3600)
    for number in range(30):
        handler.handle(record(f"{number:09}"))
    assert len(log_path.read_bytes()) == 300


def test_flush_and_close_write_what_waits(make_handler: MakeHandler, log_path: Path) -> None:
    """Nothing waits after a flush, and nothing is lost by closing."""
    handler = make_handler(buffer_size=BUFFER, flush_interval=3600)
    handler.handle(record("one"))
    assert handler.flush()
    assert log_path.read_text(encoding="utf-8") == "one\n"
    handler.handle(record("two"))
    handler.close()
    assert log_path.read_text(encoding="utf-8") == "one\ntwo\n"


@pytest.mark.parametrize("buffer_size", [0, BUFFER])
def test_a_record_after_close_is_written_and_leaves_no_file_open(
    make_handler: MakeHandler, log_path: Path, buffer_size: int
) -> None:
    """A closed handler still writes, at once, and closes the file again."""
    handler = make_handler(buffer_size=buffer_size)
    handler.close()
    handler.handle(record("late"))
    assert log_path.read_text(encoding="utf-8") == "late\n"
    assert handler.stream is None


@pytest.mark.parametrize("buffer_size", [0, 1000])
def test_many_threads_lose_nothing_in_rotation(make_handler: MakeHandler, tmp_path: Path, buffer_size: int) -> None:
    """Each line of ten threads is there once and whole, through hundreds of rotations."""
    handler = make_handler(maxBytes=500, backupCount=10_000, buffer_size=buffer_size)

    def work(thread: int) -> None:
        for number in range(200):
            handler.handle(record(f"{thread} {number}"))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.close()
    lines = [line for path in tmp_path.glob("app.log*") for line in path.read_text(encoding="utf-8").splitlines()]
    assert sorted(lines) == sorted(f"{thread} {number}" for thread in range(10) for number in range(200))
    figures = handler.metrics()
    assert (figures.lines_written, figures.waiting_lines) == (2000, 0)
    assert figures.rotation_count == len(list(tmp_path.glob("app.log.*")))


def test_a_deleted_file_is_made_anew(make_handler: MakeHandler, log_path: Path) -> None:
    """The record after a deletion is in a new file."""
    handler = make_handler()
    handler.handle(record("one"))
    log_path.unlink()
    handler.handle(record("two"))
    assert log_path.read_text(encoding="utf-8") == "two\n"


def test_a_file_that_was_rotated_by_others_is_left_to_them(make_handler: MakeHandler, log_path: Path) -> None:
    """The record after a rename is in a new file under the old path."""
    handler = make_handler()
    handler.handle(record("one"))
    log_path.rename(log_path.with_name("elsewhere"))
    handler.handle(record("two"))
    assert log_path.read_text(encoding="utf-8") == "two\n"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-32", "utf-8-sig", "shift_jis"])
def test_any_codec_gives_files_that_it_can_read(make_handler: MakeHandler, tmp_path: Path, encoding: str) -> None:
    """Each file, rotated or not, is a whole text in its encoding, also when it was opened twice."""
    for _ in range(2):
        handler = make_handler(encoding=encoding, maxBytes=200, backupCount=50)
        for number in range(20):
            handler.handle(record(f"line {number}"))
        handler.close()
    texts = [path.read_text(encoding=encoding) for path in tmp_path.glob("app.log*")]
    assert sum(text.count("line") for text in texts) == 40
    assert not any("\ufeff" in text for text in texts)


def test_what_cannot_be_encoded_is_escaped(make_handler: MakeHandler, log_path: Path) -> None:
    """A character that the codec does not have costs no record."""
    make_handler(encoding="ascii").handle(record("5 €, \udcff, \0"))
    assert log_path.read_bytes() == b"5 \\u20ac, \\udcff, \0\n"


def test_errors_of_formatting_go_to_handle_error(
    make_handler: MakeHandler, log_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that cannot be formatted is reported as the standard library does, and raises nothing."""
    handler = make_handler()
    handler.handle(logging.LogRecord("app", logging.INFO, __file__, 1, "%d", ("x",), None))
    assert "--- Logging error ---" in capsys.readouterr().err
    assert log_path.read_bytes() == b""


def test_mode_w_empties_the_file_and_rotation_does_not(make_handler: MakeHandler, log_path: Path) -> None:
    """As in the standard library, `w` counts only for files that are not rotated by size."""
    log_path.write_text("old\n", encoding="utf-8")
    make_handler(mode="w", maxBytes=1000, backupCount=1).handle(record("one"))
    assert log_path.read_text(encoding="utf-8") == "old\none\n"
    make_handler(mode="w").handle(record("two"))
    assert log_path.read_text(encoding="utf-8") == "two\n"


def test_dict_config_makes_it(log_path: Path) -> None:
    """`class` with the arguments is all that `dictConfig` needs."""
    handler = {
        "class": "dblog.files.handler.ResilientRotatingFileHandler",
        "filename": str(log_path),
        "maxBytes": 1000,
        "backupCount": 2,
        "fallback_stream": "ext://sys.stdout",
    }
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"file": handler},
            "loggers": {"by.dict": {"handlers": ["file"], "propagate": False}},
        }
    )
    logger = logging.getLogger("by.dict")
    logger.warning("one")
    made = logger.handlers.pop()
    made.close()
    root.handlers[:], root.level = before, level
    assert isinstance(made, logging.handlers.BaseRotatingHandler)
    assert log_path.read_text(encoding="utf-8") == "one\n"


def test_a_mistake_names_the_argument(log_path: Path) -> None:
    """An argument that cannot be used is refused by its name, and no file is made."""
    with pytest.raises(ConfigurationError, match="max_total_bytes 10 must not be less than max_bytes 100"):
        ResilientRotatingFileHandler(log_path, maxBytes=100, backupCount=1, max_total_bytes=10)
    assert not log_path.exists()


def test_a_path_that_cannot_be_opened_fails_at_once(tmp_path: Path) -> None:
    """A directory in the place of the file is an error of the constructor."""
    with pytest.raises(IsADirectoryError):
        ResilientRotatingFileHandler(tmp_path)


def test_rotation_by_hand(make_handler: MakeHandler, log_path: Path) -> None:
    """`rotate_now` puts away a file with lines, and leaves an empty one alone."""
    handler = make_handler(backupCount=3)
    assert not handler.rotate_now()
    handler.handle(record("one"))
    assert handler.rotate_now()
    assert log_path.with_name("app.log.1").read_text(encoding="utf-8") == "one\n"
    assert log_path.read_text(encoding="utf-8") == ""


def test_a_timed_handler_never_overwrites(tmp_path: Path) -> None:
    """A second rotation within the same period gets a name of its own."""
    handler = ResilientTimedRotatingFileHandler(tmp_path / "app.log", when="midnight", encoding="utf-8")
    for message in ("one", "two", "three"):
        handler.handle(record(message))
        handler.doRollover()
    handler.close()
    found = sorted(path.read_text(encoding="utf-8").strip() for path in tmp_path.iterdir() if path.stat().st_size)
    assert found == ["one", "three", "two"]


def test_one_descriptor_a_handler(make_handler: MakeHandler) -> None:
    """A handler that has rotated has one file open, and none after it is closed."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    handler = make_handler(maxBytes=50, backupCount=3)
    for number in range(50):
        handler.handle(record(f"line {number}"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    handler.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
