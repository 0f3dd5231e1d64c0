"""A thread that calls `step` again and again, started when it is needed and replaced when it dies."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from dblog.processes import WORKER_THREAD
from dblog.selflog import Announcer

GRACE: Final = 0.2
"""Seconds that a thread which ought to be at its end is given."""


class _StepperThread(threading.Thread):
    """Tells its kind from all other threads."""


def is_worker_thread() -> bool:
    """True in the thread of any worker: what drivers log there would feed the queues for ever."""
    return isinstance(threading.current_thread(), _StepperThread)


def configures_logging() -> bool:
    """True in a thread that holds the lock of `logging`, as `dictConfig` does while it closes the old handlers.

    Any logger may need that lock, those of the driver, too: whoever waits for a worker with it waits in vain.
    """
    return bool(logging._lock._is_owned())  # type: ignore[attr-defined]


def is_being_configured() -> bool:
    """True while any thread holds that lock."""
    if not logging._lock.acquire(blocking=False):  # type: ignore[attr-defined]
        return True
    logging._lock.release()  # type: ignore[attr-defined]
    return False


class Stepper:
    """Runs a worker.

    Args:
        step: Does what is due, told the time; returns the seconds until there is more to do, None where only
            `wake()` changes that.
        may_sleep: Asked once more after `asleep` can be seen, so that nobody's record is overlooked.
        idle_limit: The longest sleep in seconds where `step` returned None.
        at_end: Called in the thread when it ends in order.
        announcer: Tells the operator.
    """

    def __init__(
        self,
        step: Callable[[float], float | None],
        *,
        may_sleep: Callable[[], bool],
        idle_limit: Callable[[], float],
        at_end: Callable[[], None],
        announcer: Announcer,
    ) -> None:
        self.asleep = True
        """True while nobody but a caller with a record will see to it: the thread sleeps, or has ended."""
        self.ended = False
        """True after the last step."""
        self._step = step
        self._may_sleep = may_sleep
        self._idle_limit = idle_limit
        self._at_end = at_end
        self._announcer = announcer
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()  # re-entrant: a signal handler may log while its thread starts the worker
        # Locks, not Events: their release is safe in a signal handler, and where one raises.
        self._alarm, self._end = threading.Lock(), threading.Lock()
        self._alarm.acquire()
        self._end.acquire()  # until the last step

    @property
    def is_alive(self) -> bool:
        """True while a thread runs the steps, or is about to."""
        thread = self._thread
        return thread is not None and (thread.is_alive() or thread.ident is None)

    def wake(self) -> None:
        """Have the next step made now; starts the thread when there is none."""
        self.asleep = False
        if self.ended:
            self.asleep = True
            return
        if self._thread is None:
            self._start()
        try:
            self._alarm.release()
        except RuntimeError:
            return  # it is ringing already

    def run_here(self) -> bool:
        """Make all steps in the calling thread where no other one does; False where another one does."""
        with self._starting:
            if self.is_alive and self._thread is not threading.current_thread():
                return False
            self._thread = threading.current_thread()  # so that nobody starts another one now
        self._run()
        return True

    def end(self) -> None:
        """Let no further step be made."""
        self.ended = True
        self.asleep = True
        with suppress(RuntimeError):  # it is free already
            self._end.release()

    def await_end(self, timeout: float, patience: float) -> None:
        """Wait for the last step, `timeout` seconds at most, and `patience` more until the thread has let go of all."""
        ended = self._end.acquire(timeout=timeout)
        if ended:
            with suppress(RuntimeError):  # somebody who ends it once more was faster
                self._end.release()
        thread = self._thread
        if ended and isinstance(thread, _StepperThread) and thread is not threading.current_thread():
            thread.join(patience)

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None or self.ended:
                return
            thread = _StepperThread(target=self._run_and_replace, name=WORKER_THREAD, daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError as error:
                self._thread = None
                self._announcer.announce("thread", f"no thread can be started, records wait: {error}")
                self.asleep = True  # the next record tries again

    def _run_and_replace(self) -> None:
        begun = time.monotonic()
        try:
            self._run()
        finally:
            if not self.ended:
                self._announcer.announce("thread", "the worker's thread died and is replaced")
                self._thread, self.asleep = None, True  # the next record starts another one
                if time.monotonic() - begun > 1.0:  # unless it dies at once, again and again
                    self._start()

    def _run(self) -> None:
        while not self.ended:
            try:
                wait = self._step(time.monotonic())
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever happens to one batch
                self._announcer.announce("worker", f"unexpected {type(error).__name__} while delivering")
                wait = 1.0
            if not self.ended:
                self._sleep(wait)
        self._at_end()

    def _sleep(self, wait: float | None) -> None:
        if wait is not None:
            self._alarm.acquire(timeout=wait)
            return
        self.asleep = True
        if self._may_sleep():
            self._alarm.acquire(timeout=min(self._idle_limit(), threading.TIMEOUT_MAX))
        self.asleep = self.ended
