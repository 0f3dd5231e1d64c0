"""What code for the standard library's handlers finds in ours."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dblog.errors import UsageError
from dblog.files.handler import ResilientRotatingFileHandler

MakeHandler = Callable[..., ResilientRotatingFileHandler]


def record(message: str) -> logging.LogRecord:
    """A record as a logger makes it."""
    return logging.LogRecord("app", logging.INFO, __file__, 1, message, None, None)


class EveryRecord(ResilientRotatingFileHandler):
    """Rotates as the subclasses that are found in the wild do: by hand, through `stream`."""

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Rotate before each record with a star, whatever the size."""
        return record.getMessage().startswith("*")

    def doRollover(self) -> None:
        """Rotate in the way of the standard library."""
        if self.stream:
            self.stream.close()
            self.stream = None
        os.replace(self.baseFilename, self.baseFilename + ".mine")  # noqa: PTH105 - as others write it
        if not self.delay:
            self.stream = self._open()


class WithHeader(ResilientRotatingFileHandler):
    """Begins each new file with a header."""

    def doRollover(self) -> None:
        """Rotate, and write the header."""
        super().doRollover()
        assert self.stream
        self.stream.write("header\n")


@pytest.fixture
def every_record(log_path: Path) -> Iterator[EveryRecord]:
    """A handler of the first kind."""
    with closing(EveryRecord(log_path, maxBytes=5, backupCount=1, encoding="utf-8", buffer_size=1000)) as handler:
        yield handler


def test_overrides_of_rotation_are_called(every_record: EveryRecord, log_path: Path) -> None:
    """A subclass that rotates in its own way gets its way, for each record."""
    for message in ("one", "two", "*three"):
        every_record.handle(record(message))
    assert log_path.read_text(encoding="utf-8") == "*three\n"
    assert log_path.with_name("app.log.mine").read_text(encoding="utf-8") == "one\ntwo\n"


def test_a_subclass_may_add_to_each_rotation(log_path: Path) -> None:
    """`doRollover` is called for each rotation where a subclass has its own, and may write to the new file."""
    with closing(WithHeader(log_path, maxBytes=18, backupCount=3, encoding="utf-8")) as handler:
        for number in range(3):
            handler.handle(record(f"number {number}"))
    assert log_path.read_text(encoding="utf-8") == "header\nnumber 2\n"
    assert log_path.with_name("app.log.1").read_text(encoding="utf-8") == "header\nnumber 1\n"


def test_an_override_of_emit_is_called_under_the_handlers_lock(log_path: Path) -> None:
    """Code of a subclass may count on the lock that the standard library takes for it."""
    held = []

    class Own(ResilientRotatingFileHandler):
        def emit(self, record: logging.LogRecord) -> None:
            assert self.lock is not None
            held.append(self.lock._is_owned())  # type: ignore[attr-defined]
            super().emit(record)

    with closing(Own(log_path, encoding="utf-8")) as handler:
        handler.handle(record("one"))
    assert held == [True]
    assert log_path.read_text(encoding="utf-8") == "one\n"


def test_hooks_that_are_set_later_are_honoured(make_handler: MakeHandler, log_path: Path) -> None:
    """`namer` and `rotator` take effect with the next rotation."""
    handler = make_handler(maxBytes=10, backupCount=2)
    handler.namer = lambda name: name + ".named"
    seen = []

    def rotator(source: str, target: str) -> None:
        seen.append(Path(target).name)
        Path(source).rename(target)

    handler.rotator = rotator
    for message in ("one", "two", "three"):
        handler.handle(record(message + " " * 8))
    assert seen == ["app.log.1.named", "app.log.1.named"]
    assert log_path.with_name("app.log.2.named").read_text(encoding="utf-8").strip() == "one"


def test_the_stream_is_the_file(make_handler: MakeHandler, log_path: Path) -> None:
    """`stream` writes to the file, tells its descriptor, and is None while the file is closed."""
    handler = make_handler()
    stream = handler.stream
    assert stream is not None
    stream.writelines(["one\n", "two\n"])
    assert os.fstat(stream.fileno()).st_ino == log_path.stat().st_ino
    assert (stream.tell(), stream.name, stream.closed) == (8, str(log_path), False)
    stream.close()
    assert handler.stream is None
    with pytest.raises(ValueError, match="is not open"):
        stream.fileno()


def test_a_foreign_stream_is_refused(make_handler: MakeHandler) -> None:
    """The handler writes its file, nothing else."""
    with pytest.raises(UsageError, match="the stream of this handler is its file"):
        make_handler().stream = object()  # type: ignore[assignment]


def test_the_terminator_is_honoured(make_handler: MakeHandler, log_path: Path) -> None:
    """What ends a line may be set, as for any `StreamHandler`."""
    handler = make_handler()
    handler.terminator = "\0"
    handler.handle(record("one"))
    assert log_path.read_bytes() == b"one\0"


def test_filters_are_honoured(make_handler: MakeHandler, log_path: Path) -> None:
    """A filter may refuse a record."""
    handler = make_handler()
    handler.addFilter(lambda record: record.getMessage() != "no")
    for message in ("no", "yes"):
        handler.handle(record(message))
    assert log_path.read_text(encoding="utf-8") == "yes\n"
