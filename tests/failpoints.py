"""Processes that are killed before and after each statement that they send through SQLAlchemy."""

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from itertools import count

import sqlalchemy as sa

_FINISHED = 42


def killed_at_each_statement(action: Callable[[], object], every: int = 1) -> Iterator[int]:
    """Run `action` in a child that is killed before its first statement, after it, before its second, and so on.

    Yields after each of them, so that the caller can look at what is there and run it again; the last one finishes.
    With `every`, only every so many of these points are tried. The action has to open connections of its own.
    """
    for points in count(0, every):
        status = _run(action, points)
        yield points
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == _FINISHED, "the action failed"
            return


def _run(action: Callable[[], object], points: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of pytest-xdist: the child needs none of them
        child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        left = points

        def die_when_it_is_time(*_: object) -> None:
            nonlocal left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(sa.Engine, event, die_when_it_is_time)
        action()
        os._exit(_FINISHED)
    finally:
        os._exit(1)
