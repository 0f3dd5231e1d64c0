"""Processes that end abruptly before each of their steps: on the file system, or in the database."""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import count

import sqlalchemy as sa

STEPS = frozenset({"os.rename", "os.remove", "os.truncate", "os.chmod", "os.utime", "open"})
_FINISHED = 42


def crashes(action: Callable[[], object]) -> Iterator[int]:
    """Run `action` in a child that kills itself before its first step, its second, and so on, until one finishes.

    Yields after each of them, so that the caller can look at what is there and prepare the next run.
    """

    def watch(die_when_it_is_time: Callable[[], None]) -> None:
        sys.addaudithook(lambda event, _: die_when_it_is_time() if event in STEPS else None)

    return _killed(action, watch, every=1)


def killed_at_each_statement(action: Callable[[], object], every: int = 1) -> Iterator[int]:
    """The same before the first statement that is sent through SQLAlchemy, after it, before the second, and so on.

    With `every`, only every so many of these points are tried. The action has to open connections of its own.
    """

    def watch(die_when_it_is_time: Callable[[], None]) -> None:
        for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(sa.Engine, event, lambda *_: die_when_it_is_time())

    return _killed(action, watch, every)


def _killed(action: Callable[[], object], watch: Callable[[Callable[[], None]], None], every: int) -> Iterator[int]:
    for points in count(0, every):
        status = _run(action, watch, points)
        yield points
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == _FINISHED, "the action failed"
            return


def _run(action: Callable[[], object], watch: Callable[[Callable[[], None]], None], points: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of pytest-xdist: the child needs none of them
        child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        left = points

        def die_when_it_is_time() -> None:
            nonlocal left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        watch(die_when_it_is_time)
        action()
        os._exit(_FINISHED)
    finally:
        os._exit(1)
