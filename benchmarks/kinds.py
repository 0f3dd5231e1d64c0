"""The calls that are measured: the same event, told in the usual ways through `logging` and through loguru."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from benchmarks import corpus
from benchmarks.raising import DEPTHS, DIFFERENT, different_errors

if TYPE_CHECKING:
    from loguru import Logger

KINDS = {
    "plain": 'plain message: `info("order 4711 was paid")`',
    "arguments": 'with arguments: `info("order %d of %s was paid", number, customer)`',
    "extra": "with arguments and `extra` of two values",
    "exception": "with an exception, five frames deep, the same each time: `error(..., exc_info=error)`",
    "exceptions": f"with {DIFFERENT} exceptions from as many places in turn, {min(DEPTHS)} to {max(DEPTHS)} frames",
    "line": "real log lines as messages",
}
CALLS = ("plain", "arguments", "extra", "exception", "exceptions")


Call = Callable[[int], None]


class Calls(Protocol):
    """One call of each kind; `number` makes each one a little different."""

    def plain(self, number: int) -> None: ...
    def arguments(self, number: int) -> None: ...
    def extra(self, number: int) -> None: ...
    def exception(self, number: int) -> None: ...
    def exceptions(self, number: int) -> None: ...
    def line(self, number: int) -> None: ...


def _raise(frames: int) -> None:
    if frames == 1:
        raise ValueError("the card was refused")
    _raise(frames - 1)


def _error() -> ValueError:
    try:
        _raise(4)
    except ValueError as error:
        return error
    raise AssertionError


class Standard:
    """The calls of an ordinary logger."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._error = _error()
        self._errors = different_errors()
        self._lines = corpus.lines()

    def plain(self, number: int) -> None:
        self._logger.info("order 4711 was paid")

    def arguments(self, number: int) -> None:
        self._logger.info("order %d of %s was paid", number, "customer 42")

    def extra(self, number: int) -> None:
        self._logger.info(
            "order %d of %s was paid", number, "customer 42", extra={"order_id": number, "path": "/checkout"}
        )

    def exception(self, number: int) -> None:
        self._logger.error("order %d was not paid", number, exc_info=self._error)

    def exceptions(self, number: int) -> None:
        self._logger.error("order %d was not paid", number, exc_info=self._errors[number % DIFFERENT])

    def line(self, number: int) -> None:
        self._logger.info(self._lines[number % len(self._lines)])


class Loguru:
    """The same calls in loguru's words."""

    def __init__(self, logger: "Logger") -> None:
        self._logger = logger
        self._error = _error()
        self._errors = different_errors()
        self._lines = corpus.lines()

    def plain(self, number: int) -> None:
        self._logger.info("order 4711 was paid")

    def arguments(self, number: int) -> None:
        self._logger.info("order {} of {} was paid", number, "customer 42")  # noqa: PLE1205 - loguru's own braces

    def extra(self, number: int) -> None:
        self._logger.bind(order_id=number, path="/checkout").info("order {} of {} was paid", number, "customer 42")

    def exception(self, number: int) -> None:
        self._logger.opt(exception=self._error).error("order {} was not paid", number)

    def exceptions(self, number: int) -> None:
        self._logger.opt(exception=self._errors[number % DIFFERENT]).error("order {} was not paid", number)

    def line(self, number: int) -> None:
        self._logger.info(self._lines[number % len(self._lines)])
