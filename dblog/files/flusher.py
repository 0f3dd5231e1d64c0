"""The thread that writes what has waited long enough; it sleeps without a time limit while nothing waits."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from dblog.files.threads import Background

THREAD: Final = "dblog-files"
_GRACE: Final = 0.2
"""Seconds that the thread is given for its end."""


class Flusher:
    """Calls `flush` a while after the first line began to wait.

    Args:
        flush: Writes what waits.
        interval: Seconds that a line may wait.
    """

    def __init__(self, flush: Callable[[], object], interval: float) -> None:
        self.awake = False
        """True while a flush is to come that sees a line which is put now."""
        self._flush = flush
        self._interval = interval
        # `SimpleQueue.put` is the one way to wake a thread that the language calls safe in signal handlers.
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._background = Background(self._run, THREAD, threading.RLock())
        self._ended = False

    def wake(self) -> bool:
        """Have a flush made in `interval` seconds; False after `end`, and where no thread can be had for it."""
        if self._ended:
            return False
        try:
            self.awake = True
            if self._background.start():
                self._calls.put(True)
                return True
        except BaseException:  # what a signal handler raises: the next line has to ask again
            self.awake = False
            raise
        self.awake = False
        return False

    def end(self) -> None:
        """End the thread without a further flush, and wait a moment for that."""
        self._ended = True
        self._calls.put(False)
        self._background.join(_GRACE)

    def _run(self) -> None:
        while self._calls.get():
            if not self._pause():
                return
            self.awake = False  # before the flush: whoever puts a line from now on asks for the next one
            self._flush()

    def _pause(self) -> bool:
        """Let lines gather; False where the end came first."""
        try:
            while self._calls.get(timeout=self._interval):
                pass  # a second thread woke this one at the same moment
        except Empty:
            return True
        return False
