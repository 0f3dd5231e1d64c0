"""Exceptions run code of the application while a record is taken: compiled or not, that does no harm."""

import logging
from collections.abc import Callable

import pytest
from eventually import eventually
from failures import caught, expected, fall
from interruptions import Interruption
from servers import Database

from dblog import DatabaseLogHandler
from dblog.copytext import escape
from dblog.writing.speedups import SWITCH, load

NOWHERE = "host=127.0.0.1 port=1"
Attach = Callable[..., logging.Logger]
MakeHandler = Callable[..., DatabaseLogHandler]


@pytest.fixture(params=["Python", "compiled"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python, and compiled where that is installed."""
    if request.param == "Python":
        monkeypatch.setenv(SWITCH, "0")
    elif load() is None:
        pytest.skip("dblog-speedups is missing: pip install ./speedups")


class TalkativeError(Exception):
    """One that does something while it is shown."""

    def __init__(self, act: Callable[[BaseException], object]) -> None:
        super().__init__("talkative")
        self.act = act

    def __str__(self) -> str:
        self.act(self)
        return "told"


def warm(handler: DatabaseLogHandler, logger: logging.Logger) -> None:
    """Have a record of this thread and of the line below remembered, and the worker awake."""
    for _ in range(2):
        log(logger, logging.INFO, None)
    assert handler.stats().emitted == {20: 2}


def log(logger: logging.Logger, level: int, error: BaseException | None) -> None:
    """Log with an exception, always from the same line."""
    logger.log(level, "order %d", 7, exc_info=error)


def test_an_exception_is_stored_as_it_is(make_handler: MakeHandler, attach: Attach) -> None:
    """The line has the exception, in whatever way it was made, and is counted once."""
    handler = make_handler(NOWHERE, flush_interval=600)
    logger = attach(handler)
    warm(handler, logger)
    for number in range(3):
        info = caught(lambda number=number: fall(30, ValueError(f"no. {number}\t\\é")))  # type: ignore[misc]
        log(logger, logging.INFO, info[1])
        assert f"\tValueError\t{escape(expected(info))}\t".encode() in handler._writer._queue._lines[-1]
    assert handler.stats().emitted == {20: 5}


def test_an_exception_that_logs_itself_has_an_end(make_handler: MakeHandler, attach: Attach) -> None:
    """One that logs itself while it is shown is taken a few times, and the rest is counted as dropped."""
    handler = make_handler(NOWHERE, flush_interval=600)
    logger = attach(handler)
    warm(handler, logger)
    log(logger, logging.INFO, caught(lambda: fall(1, TalkativeError(lambda error: log(logger, 20, error))))[1])
    stats = handler.stats()
    assert stats.dropped[20] == 1
    assert 3 < stats.emitted[20] < 12
    log(logger, logging.INFO, None)
    assert handler.stats().emitted[20] == stats.emitted[20] + 1


def test_an_exception_that_is_interrupted_costs_no_later_record(make_handler: MakeHandler, attach: Attach) -> None:
    """Where Ctrl-C comes while an exception is shown, that record is gone, and those after it are taken."""

    def interrupt(_: BaseException) -> None:
        raise Interruption

    handler = make_handler(NOWHERE, flush_interval=600)
    logger = attach(handler)
    warm(handler, logger)
    for _ in range(20):  # more often than records may be nested
        with pytest.raises(Interruption):
            log(logger, logging.INFO, caught(lambda: fall(1, TalkativeError(interrupt)))[1])
    assert handler._writer._intake._cells.local.cell.depth == 0
    log(logger, logging.INFO, ValueError("taken"))
    assert b"ValueError: taken" in handler._writer._queue._lines[-1]


def test_a_worker_that_fell_asleep_meanwhile_is_woken(
    database: Database, make_handler: MakeHandler, attach: Attach
) -> None:
    """A record whose exception takes long to be shown does not lie there because the worker had nothing left to do."""

    def take_long(_: BaseException) -> None:
        handler.flush()
        eventually(lambda: stepper.asleep, "the worker sleeps")

    handler = make_handler(database.dsn, flush_interval=600)
    stepper = handler._writer.worker.stepper
    logger = attach(handler)
    warm(handler, logger)
    log(logger, logging.INFO, caught(lambda: fall(1, TalkativeError(take_long)))[1])
    assert not stepper.asleep


def test_an_error_hurries_its_batch(database: Database, make_handler: MakeHandler, attach: Attach) -> None:
    """An ERROR waits for no interval, in whatever way its line was made."""
    handler = make_handler(database.dsn, flush_interval=600)
    logger = attach(handler)
    warm(handler, logger)
    for _ in range(3):
        log(logger, logging.ERROR, ValueError("at once"))
        eventually(lambda: not handler.stats().waiting, "the error is stored")
    assert handler.stats().stored == {20: 2, 40: 3}
