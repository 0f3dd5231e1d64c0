"""Processes that end abruptly before each of their steps on the file system."""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import count

STEPS = frozenset({"os.rename", "os.remove", "os.truncate", "os.chmod", "os.utime", "open"})
_FINISHED = 42


def crashes(action: Callable[[], object]) -> Iterator[int]:
    """Run `action` in a child that kills itself before its first step, its second, and so on, until one finishes.

    Yields after each of them, so that the caller can look at what is there and prepare the next run.
    """
    for steps in count():
        status = _run(action, steps)
        yield steps
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == _FINISHED, "the action failed"
            return


def _run(action: Callable[[], object], steps: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of pytest-xdist: the child needs none of them
        child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        left = steps

        def die_when_it_is_time(event: str, _: object) -> None:
            nonlocal left
            if event in STEPS:
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

        sys.addaudithook(die_when_it_is_time)
        action()
        os._exit(_FINISHED)
    finally:
        os._exit(1)
