"""What a handler's thread does: forms batches when they are due and sees each through to its end.

All of it is `step(now)`, which looks at the queue, makes at most one attempt and says how long to wait.
A batch belongs to the worker from the moment it leaves the queue until it is stored, spooled or printed; only a closing
thread whose patience is over may take it away (`give_up`).
"""

import threading
import time
from typing import Final

from dblog.batch import Batch
from dblog.locks import acquire
from dblog.selflog import Announcer
from dblog.writing.delivery import Delivery, seconds_left
from dblog.writing.linequeue import LineQueue
from dblog.writing.stepper import GRACE, Stepper, configures_logging, is_being_configured
from dblog.writing.upkeep import Upkeep

RELIEF_BYTES: Final = 1024 * 1024
"""What a full queue gives up at a time."""
_LEAST_COST: Final = 100
"""Rows that a frame of the spool counts for at least: a small one takes a round trip, too."""
_PATIENCE: Final = 3.0
"""Seconds without progress after which a closing thread takes the worker for stuck, not only slow."""
_LOOK_AGAIN: Final = 0.01
_LONGEST_WAIT: Final = 1.0
_FOREVER: Final = 1e8


class Worker:
    """Drains a queue through a delivery.

    Args:
        queue: Where the lines come from.
        delivery: Where the batches go.
        upkeep: What is to be looked after in between.
        announcer: Given to the thread, to tell the operator when something goes wrong that should not.
    """

    def __init__(self, queue: LineQueue, delivery: Delivery, upkeep: Upkeep, announcer: Announcer) -> None:
        self.urgent = False
        """True while a record waits that hurries its batch."""
        self.stepper = Stepper(
            self.step,
            may_sleep=lambda: not self._queue and self._closing_at is None,
            idle_limit=upkeep.idle_limit,
            at_end=self._at_end,
            announcer=announcer,
        )
        self._queue = queue
        self._delivery = delivery
        self._upkeep = upkeep
        self._flushing = 0  # lines up to which somebody waits
        self._closing_at: float | None = None
        self._close_later: float | None = None
        self._oldest: float | None = None
        self._pending: Batch | None = None
        self._replay_credit = 0  # rows of the spool that come before the next fresh ones
        self._relieving = False
        self._owner = threading.RLock()
        self._progress = threading.Condition(self._owner)

    def wake(self, *, urgent: bool = False) -> None:
        """Have the worker look at the queue now; starts its thread when there is none."""
        if urgent:
            self.urgent = True
        self.stepper.wake()
        if self.stepper.asleep:  # no thread could be started: the next urgent record tries again
            self.urgent = False

    def flush(self, timeout: float) -> bool:
        """Deliver what is in the queue now; True where nothing of it waits any more within `timeout` seconds."""
        timeout = min(max(0.0, timeout), _FOREVER)
        deadline = time.monotonic() + timeout
        held: list[bool] = []
        try:
            if not acquire(self._owner, held, timeout=timeout):
                return False
            target = self._queue.taken + len(self._queue)
            self._flushing = max(self._flushing, target)
            self.wake()
            if configures_logging():
                return self._is_settled(target)
            while not self._is_settled(target) and not self.stepper.ended and seconds_left(deadline):
                self._progress.wait(seconds_left(deadline))
            return self._is_settled(target)
        finally:
            if True in held:
                self._owner.release()

    def close(self, timeout: float) -> None:
        """Deliver everything, or what is left to the spool or stderr when `timeout` seconds are over.

        A thread that configures logging does not wait: the worker closes by itself, once loggers have new handlers.
        """
        deadline = time.monotonic() + min(max(0.0, timeout), _FOREVER)
        if self.stepper.is_alive and configures_logging():
            self._close_later = deadline
            self.wake()
            return
        if not self.stepper.is_alive and not self._queue.taken and not self._queue:
            self.stepper.end()  # nothing was ever logged: nothing was opened
            return
        self._closing_at = deadline
        # No thread of its own: nothing to do so far, none could be started, or it ended with the interpreter.
        if not self.stepper.run_here():
            self.wake()
            self.stepper.await_end(seconds_left(deadline) + GRACE, _PATIENCE)
        if not self.stepper.ended:
            self.give_up(_PATIENCE)

    def give_up(self, patience: float = GRACE) -> None:
        """Take everything from a worker that is stuck or has ended, and give it up to the spool or stderr.

        Where the worker is stuck in the spool itself, on a disk that does not answer, its batch is left to it; where
        a thread is stuck in the journal, what waits is left to that.

        Args:
            patience: Seconds that a worker which gives up one batch after another may take for each.
        """
        held: list[bool] = []
        try:
            free = self._await_owner(held, patience)
            self.stepper.end()
            stored = self._delivery.disown()
            if free:
                batch = self._pending
                if batch is not None and batch.key != stored:
                    self._delivery.give_up(batch)
                self._pending = None  # not before: a signal may interrupt this, and who closes again finds the batch
                self._progress.notify_all()
            answers = self._queue.answers(patience)
            if answers:
                self._give_up_queue(spool=free)
            if free and answers:
                self._upkeep.finish()
                self._delivery.close_spool()
        finally:
            if True in held:
                self._owner.release()

    def relieve(self) -> None:
        """Make room in a full queue, in the thread of whoever finds it full while the worker is busy or stuck."""
        if self._relieving:  # a signal handler that logs meanwhile owns the lock, too
            return
        held: list[bool] = []
        try:
            if not acquire(self._owner, held, blocking=False):
                return
            self._relieving = True
            batch = self._queue.take(self._delivery.pacing.batch_size, RELIEF_BYTES)
            if batch is not None:
                self._delivery.give_up(batch, seconds=0.0)  # the application's thread waits for no pipe
                self._upkeep.restrict()
        finally:
            if True in held:
                self._relieving = False
                self._owner.release()

    def step(self, now: float) -> float | None:
        """Do what is due and return the seconds until there is more to do; None where only a record changes that."""
        self._upkeep.look_after(now)
        if self._pending is None:
            if self._replay_between(now):
                return 0.0
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

    def _await_owner(self, held: list[bool], patience: float) -> bool:
        """Have the lock of whoever gives up batches; False where that makes no progress within `patience` seconds."""
        taken = self._queue.taken
        while not acquire(self._owner, held, timeout=patience):
            before, taken = taken, self._queue.taken
            if taken == before:
                return False
        return True

    def _at_end(self) -> None:
        if self._queue:  # what was logged between the last look and the end
            self.give_up()
        self._delivery.close_database()

    def _replay_between(self, now: float) -> bool:
        """After a fresh batch as many rows of the spool: neither keeps the other waiting for ever."""
        spool, credit = self._delivery.spool, self._replay_credit
        if spool is None or credit <= 0 or self._queue.is_full or self._closing_at is not None:
            return False
        rows = spool.figures().rows
        self._replay_credit = 0
        if not self._delivery.pacing.may_try(now) or not self._delivery.replay(now):
            return False
        self._replay_credit = credit - max(_LEAST_COST, rows - spool.figures().rows)
        return True

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
            self._replay_credit = batch.rows
            self._settled(batch)
            return 0.0
        with self._owner:
            if self._pending is not batch or self._leave_database(batch, now):  # a closing thread may have taken it
                return 0.0
        limit = self._closing_at if self._closing_at is not None else now + _LONGEST_WAIT
        return max(0.0, min(pacing.next_try, limit) - now)

    def _leave_database(self, batch: Batch, now: float) -> bool:
        """Put a batch that may not wait in memory any longer elsewhere; False where it may."""
        too_late = self._closing_at is not None and now >= self._closing_at
        if too_late or self._queue.is_full:
            self._delivery.give_up(batch)
        elif not (self._delivery.pacing.circuit_open and self._delivery.divert(batch)):
            return False
        self._upkeep.restrict()
        self._settled(batch)
        if too_late:
            self._give_up_queue()
        return True

    def _settled(self, batch: Batch) -> None:
        with self._owner:  # not the condition, in whose own code a signal handler could raise with the lock held
            if self._pending is batch:
                self._pending = None
            self._progress.notify_all()

    def _is_settled(self, target: int) -> bool:
        pending = self._pending
        settled = self._queue.taken - (pending.rows if pending is not None else 0)
        return settled >= target

    def _give_up_queue(self, *, spool: bool = True) -> None:
        pacing = self._delivery.pacing
        while (batch := self._queue.take(pacing.batch_size, pacing.batch_bytes)) is not None:
            self._delivery.give_up(batch, spool=spool)

    def _begin_to_close(self, deadline: float, now: float) -> float:
        """Close once nobody configures logging any more: until then loggers may have the old handler."""
        if now < deadline and is_being_configured():
            return _LOOK_AGAIN
        self._closing_at = max(deadline, now)
        return 0.0

    def _end(self) -> float:
        """Everything is settled: tell the ledger, and stop."""
        now, pacing = time.monotonic(), self._delivery.pacing
        if self._upkeep.report_at_the_end():
            return 0.0  # a note is a record like any other
        ready = pacing.may_try(now) and not pacing.circuit_open
        if self._queue.taken:
            closing = self._queue.closing_batch()
            if not (ready and self._delivery.attempt(closing, now)):
                self._delivery.divert(closing)
        with self._owner:
            self.stepper.end()
            self._upkeep.finish()
            self._delivery.close_spool()
            self._progress.notify_all()
        return 0.0
