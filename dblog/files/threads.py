"""Threads in the background: one at a time for each owner, begun when there is something to do."""

import threading
from collections.abc import Callable


class Background:
    """One daemon thread, or none: what a signal handler raises while it is started leaves none behind.

    Args:
        run: What the thread does; it may come to its end at any time, and be started again.
        name: Of the thread.
        lock: Held while the thread is started or counted out. Its owner decides with it that there is nothing left to
            do; re-entrant, since a signal handler may stop what its own thread is just starting.
    """

    def __init__(self, run: Callable[[], object], name: str, lock: "threading.RLock") -> None:
        self._run = run
        self._name = name
        self._lock = lock
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """True while there is a thread that sees to what comes."""
        return self._thread is not None

    def start(self) -> bool:
        """Have a thread; False where none can be had: the interpreter is ending, or the system has none left."""
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._begin, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return False
                self._thread = thread  # not earlier: one that never ran would be waited for, and never replaced
        return True

    def leave(self) -> None:
        """Count the thread out, which ends without a further look; whoever has work from now on starts the next."""
        with self._lock:
            self._thread = None

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the thread, unless that is the caller: so many seconds, or as long as it takes."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _begin(self) -> None:
        me = threading.current_thread()
        with self._lock:
            if self._thread is not me:  # its start was interrupted after all: the next one has the work
                return
        try:
            self._run()
        finally:
            with self._lock:
                if self._thread is me:
                    self._thread = None
