"""The one thread of a handler: forms batches when they are due and sees each through to its end.

All that it does is `step(now)`, which looks at the queue, makes at most one attempt and says how long to wait.
A batch belongs to the worker from the moment it leaves the queue until it is stored, spooled or printed; only a closing
thread whose patience is over may take it away (`abandon`).
"""

import logging
import threading
import time
from typing import Final

from dblog.batch import Batch
from dblog.delivery import Delivery, seconds_left
from dblog.linequeue import LineQueue
from dblog.processes import WORKER_THREAD
from dblog.selflog import Announcer

RELIEF_BYTES: Final = 1024 * 1024
"""What a full queue gives up at a time."""
_GRACE: Final = 0.2
_LOOK_AGAIN: Final = 0.01


class _WorkerThread(threading.Thread):
    """Tells its kind from all other threads."""


def is_worker_thread() -> bool:
    """True in the thread of any worker: what drivers log there would feed the queues for ever."""
    return isinstance(threading.current_thread(), _WorkerThread)


def configures_logging() -> bool:
    """True in a thread that holds the lock of `logging`, as `dictConfig` does while it closes the old handlers.

    Any logger may need that lock, those of the driver, too: whoever waits for a worker with it waits in vain.
    """
    return bool(logging._lock._is_owned())  # type: ignore[attr-defined]


class Worker:
    """Drains a queue through a delivery.

    Args:
        queue: Where the lines come from.
        delivery: Where the batches go.
        announcer: Tells the operator when something goes wrong that should not.
    """

    def __init__(self, queue: LineQueue, delivery: Delivery, announcer: Announcer) -> None:
        self.asleep = True
        """True while nobody but a caller with a record will wake the worker."""
        self.urgent = False
        """True while a record waits that hurries its batch."""
        self.ended = False
        self._queue = queue
        self._delivery = delivery
        self._announcer = announcer
        self._flushing = 0  # lines up to which somebody waits
        self._closing_at: float | None = None
        self._close_later: float | None = None
        self._oldest: float | None = None
        self._pending: Batch | None = None
        self._thread: threading.Thread | None = None
        self._alarm = threading.Lock()  # a lock, not an Event: its release is safe in a signal handler
        self._alarm.acquire()
        self._owner = threading.RLock()
        self._progress = threading.Condition(self._owner)

    def wake(self, *, urgent: bool = False) -> None:
        """Have the worker look at the queue now; starts its thread when there is none."""
        if urgent:
            self.urgent = True
        self.asleep = False
        if self._thread is None:
            self._start()
        try:
            self._alarm.release()
        except RuntimeError:
            return  # it is ringing already

    def flush(self, timeout: float) -> bool:
        """Deliver what is in the queue now; True where nothing of it waits any more within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._progress:
            target = self._queue.taken + len(self._queue)
            self._flushing = max(self._flushing, target)
            self.wake()
            if configures_logging():
                return self._is_settled(target)
            while not self._is_settled(target) and not self.ended and seconds_left(deadline):
                self._progress.wait(seconds_left(deadline))
            return self._is_settled(target)

    def close(self, timeout: float) -> None:
        """Deliver everything, or what is left to the spool or stderr when `timeout` seconds are over.

        A thread that configures logging does not wait: the worker closes by itself, once loggers have new handlers.
        """
        deadline = time.monotonic() + timeout
        thread = self._thread
        if thread is not None and thread.is_alive() and configures_logging():
            self._close_later = deadline
            self.wake()
            return
        self._closing_at = deadline
        with self._owner:
            thread = self._thread
            if thread is None:
                self._thread = threading.current_thread()  # so that nobody starts another one now
        if thread is None or not thread.is_alive():
            self._run()  # there was nothing to do so far, no thread could be started, or it ended with the interpreter
        elif thread is not threading.current_thread():
            self._await_end(thread, deadline)
        if not self.ended:
            self.abandon()

    def _await_end(self, thread: threading.Thread, deadline: float) -> None:
        self.wake()
        with self._progress:
            ended = self._progress.wait_for(lambda: self.ended, seconds_left(deadline) + _GRACE)
        if ended and isinstance(thread, _WorkerThread):  # else another thread does the closing
            thread.join(_GRACE)

    def abandon(self) -> None:
        """Take everything from a worker that is stuck or has ended, and give it up to the spool or stderr."""
        with self._progress:
            self.ended = True
            batch, self._pending = self._pending, None
            stored = self._delivery.disown()
            if batch is not None and batch.key != stored:
                self._delivery.give_up(batch)
            self._give_up_queue()
            self._delivery.close_spool()
            self._progress.notify_all()

    def relieve(self) -> None:
        """Make room in a full queue, in the thread of whoever finds it full while the worker is busy or stuck."""
        if not self._owner.acquire(blocking=False):
            return
        try:
            batch = self._queue.take(self._delivery.pacing.batch_size, RELIEF_BYTES)
            if batch is not None:
                self._delivery.give_up(batch, seconds=0.0)  # the application's thread waits for no pipe
        finally:
            self._owner.release()

    def step(self, now: float) -> float | None:
        """Do what is due and return the seconds until there is more to do; None where only a record changes that."""
        if self._pending is None:
            self._form_batch(now)
        batch = self._pending
        if batch is not None:
            return self._see_through(batch, now)
        if self._closing_at is not None:
            return self._end()
        if self._close_later is not None:
            return self._begin_to_close(self._close_later, now)
        if self._delivery.pacing.may_try(now) and (self._delivery.replay(now) or self._delivery.adopt(now)):
            return 0.0
        return None if self._oldest is None else max(0.0, self._due_at(self._oldest) - now)

    def waiting_batch(self) -> Batch | None:
        """The batch that is being delivered."""
        return self._pending

    def _start(self) -> None:
        with self._owner:
            if self._thread is not None or self.ended:
                return
            thread = _WorkerThread(target=self._run, name=WORKER_THREAD, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self._announcer.announce("thread", f"no thread can be started, records wait: {error}")
                self.asleep, self.urgent = True, False  # the next record tries again
                return
            self._thread = thread

    def _run(self) -> None:
        while not self.ended:
            try:
                wait = self.step(time.monotonic())
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever happens to one batch
                self._announcer.announce("worker", f"unexpected {type(error).__name__} while delivering")
                wait = 1.0
            if not self.ended:
                self._sleep(wait)
        if self._queue:  # what was logged between the last look and the end
            self.abandon()
        self._delivery.close_database()

    def _sleep(self, wait: float | None) -> None:
        if wait is not None:
            self._alarm.acquire(timeout=wait)
            return
        self.asleep = True
        if not self._queue and self._closing_at is None:  # else somebody may have come before `asleep` was seen
            self._alarm.acquire(timeout=self._idle_limit())
        self.asleep = False

    def _idle_limit(self) -> float:
        """An idle worker looks after what waits in the spool, else it sleeps until it is woken."""
        return 1.0 if self._delivery.spool is not None else threading.TIMEOUT_MAX

    def _form_batch(self, now: float) -> None:
        count = len(self._queue)
        if not count:
            self._oldest = None
            return
        if self._oldest is None:
            self._oldest = now
        hurried = self._closing_at is not None or self._flushing > self._queue.taken
        if hurried or self._due_at(self._oldest) <= now:
            self.urgent = False
            pacing = self._delivery.pacing
            with self._owner:
                self._pending = self._queue.take(pacing.batch_size, pacing.batch_bytes)
            self._oldest = now if self._queue else None

    def _due_at(self, oldest: float) -> float:
        pacing = self._delivery.pacing
        if self._queue.is_full:  # which may be before a batch is
            return 0.0
        return pacing.due_at(oldest, count=len(self._queue), size=self._queue.size, urgent=self.urgent)

    def _see_through(self, batch: Batch, now: float) -> float:
        """Try a batch, or find another way for it; returns the seconds until the next look."""
        pacing = self._delivery.pacing
        if pacing.may_try(now) and self._delivery.attempt(batch, now):
            self._settled(batch)
            return 0.0
        with self._owner:
            if self._pending is not batch or self._leave_database(batch, now):  # a closing thread may have taken it
                return 0.0
        limit = self._closing_at if self._closing_at is not None else now + 1.0
        return max(0.0, min(pacing.next_try, limit) - now)

    def _leave_database(self, batch: Batch, now: float) -> bool:
        """Put a batch that may not wait in memory any longer elsewhere; False where it may."""
        too_late = self._closing_at is not None and now >= self._closing_at
        if too_late or self._queue.is_full:
            self._delivery.give_up(batch)
        elif not (self._delivery.pacing.circuit_open and self._delivery.divert(batch)):
            return False
        self._settled(batch)
        if too_late:
            self._give_up_queue()
        return True

    def _settled(self, batch: Batch) -> None:
        with self._progress:
            if self._pending is batch:
                self._pending = None
            self._progress.notify_all()

    def _is_settled(self, target: int) -> bool:
        pending = self._pending
        settled = self._queue.taken - (pending.rows if pending is not None else 0)
        return settled >= target

    def _give_up_queue(self) -> None:
        pacing = self._delivery.pacing
        while (batch := self._queue.take(pacing.batch_size, pacing.batch_bytes)) is not None:
            self._delivery.give_up(batch)

    def _begin_to_close(self, deadline: float, now: float) -> float:
        """Close once nobody configures logging any more: until then loggers may have the old handler."""
        if not logging._lock.acquire(blocking=False):  # type: ignore[attr-defined]
            if now < deadline:
                return _LOOK_AGAIN
        else:
            logging._lock.release()  # type: ignore[attr-defined]
        self._closing_at = max(deadline, now)
        return 0.0

    def _end(self) -> float:
        """Everything is settled: tell the ledger, and stop."""
        now, pacing = time.monotonic(), self._delivery.pacing
        if self._queue.taken:
            closing = self._queue.closing_batch()
            ready = pacing.may_try(now) and not pacing.circuit_open
            if not (ready and self._delivery.attempt(closing, now)):
                self._delivery.divert(closing)
        with self._progress:
            self._delivery.close_spool()
            self.ended = True
            self._progress.notify_all()
        return 0.0
