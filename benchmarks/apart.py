"""Processes that measure one contender each: with an environment of their own, and nothing that others left behind."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_SPAWN = multiprocessing.get_context("spawn")


class Apart:
    """A fresh interpreter that calls functions for this process, and ends with it.

    Args:
        environment: Variables that it has beyond, or instead of, those of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        with _variables(environment):
            self._process.start()
        theirs.close()

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of a module there; its arguments and what it returns are pickled.

        Raises:
            RuntimeError: The function raised; the process has ended, and its stderr tells more.
        """
        self._pipe.send((function, args, kwargs))
        try:
            outcome: T = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{function.__module__}.{function.__qualname__}{args} failed") from None
        return outcome

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection) -> None:
    with suppress(EOFError):  # the other side has ended
        while True:
            function, args, kwargs = pipe.recv()
            pipe.send(function(*args, **kwargs))


@contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
