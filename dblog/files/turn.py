"""Whose turn it is to use the files of a writer."""

import threading
from collections.abc import Callable
from typing import Final

from dblog.locks import acquire

FOREVER: Final = -1.0


class Turn:
    """A lock that a signal handler or a `__del__` may run into while its own thread has it, and is told so.

    As a context manager it is for threads in the background that do something to the files besides writing. It waits
    for the turn, and afterwards sees to the lines that came meanwhile.

    Args:
        catch_up: Writes what waits.

    Attributes:
        lock: What makes others wait; a thread that has it may still take the turn.
        taken: True while the thread that has the lock uses the files.
        missed: True where this thread wanted to use them meanwhile, further up its stack, and will not come again.
    """

    def __init__(self, catch_up: Callable[[], object]) -> None:
        self._catch_up = catch_up
        self.restart_after_fork()

    def restart_after_fork(self) -> None:
        """Begin anew in a child: the lock may be held by a thread that is not here."""
        self.lock = threading.RLock()
        self.taken = False
        self.missed = False
        self._outer: list[bool] = []

    def is_elsewhere(self) -> bool:
        """True while another thread has it."""
        held: list[bool] = []
        try:
            return not acquire(self.lock, held, blocking=False)
        finally:
            if True in held:
                self.lock.release()

    def __enter__(self) -> None:
        self.lock.acquire()
        self._outer.append(self.taken)
        self.taken = True

    def __exit__(self, *_: object) -> None:
        self.taken = self._outer.pop()
        self.lock.release()
        if self.missed and not self.taken:
            self._catch_up()
