"""The way of a record in the application's thread: encode, count, append, and wake the worker where that is due.

Nothing here waits for the database, and nothing raises an Exception. A lock is tried once for 16 KiB.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from dblog.processes import WORKER_THREAD
from dblog.selflog import Announcer
from dblog.writing.cells import MUTED, Cell, Cells
from dblog.writing.linequeue import LINE_OVERHEAD, LineQueue
from dblog.writing.parts import level_number
from dblog.writing.row import RowEncoder
from dblog.writing.speedups import load
from dblog.writing.stepper import is_worker_thread
from dblog.writing.tally import Tally
from dblog.writing.worker import Worker

_WORKER: Final = WORKER_THREAD
_PUBLISH_BYTES: Final = 16 * 1024
"""Bytes that a thread logs before it looks at the queue's bound: rare enough for a lock."""
_MOST_UNPUBLISHED: Final = 8 * _PUBLISH_BYTES
"""Bytes after which a thread waits for others that report theirs; a quarter of a small queue, if that is less."""
_LEAST_BYTES: Final = 160
"""What the shortest line takes in the queue, or nearly so."""
_MAX_NESTING: Final = 8
"""Records that may be made while another one is encoded: by a `__str__` that logs, or a signal handler."""


class Intake:
    """Takes records into a queue, in whatever thread they are made.

    Args:
        queue: Where the lines go.
        encoder: Makes the lines.
        worker: Woken when a batch is due.
        tally: Counts what is dropped.
        announcer: Tells the operator.
        overflow: `spool`, `block` or `drop`: what becomes of records when the queue is full.
        block_timeout: Seconds that `block` may take.
        batch_size: Records that make a batch full.
        batch_bytes: Bytes that make a batch full.
        in_child: Takes a record in a forked child that Python did not tell of the fork.
    """

    def __init__(
        self,
        queue: LineQueue,
        encoder: RowEncoder,
        worker: Worker,
        tally: Tally,
        announcer: Announcer,
        *,
        overflow: str,
        block_timeout: float,
        batch_size: int,
        batch_bytes: int,
        in_child: Callable[[logging.LogRecord], None],
    ) -> None:
        self.process_id = os.getpid()
        self._queue = queue
        self._append = queue.append
        self._encode = encoder.encode
        self._worker = worker
        self._stepper = worker.stepper
        self._tally = tally
        self._announcer = announcer
        self._cells = Cells(mute=is_worker_thread, publish=queue.publish)
        self._overflow = overflow
        self._block_timeout = block_timeout
        self._batch_size = batch_size
        self._batch_bytes = batch_bytes
        self._in_child = in_child
        # With small batches each record is reported, or a batch would be full long before anybody knows.
        self._publish_bytes = min(_PUBLISH_BYTES, batch_size // 100 * _LEAST_BYTES)
        self._most_unpublished = min(_MOST_UNPUBLISHED, queue.max_bytes // 4)
        speedups = load()
        self.compiled = speedups is not None and type(queue) is LineQueue  # a journal costs more than its lines
        """True where ordinary records do not come to the `take` in Python."""
        if speedups is not None and self.compiled:
            self.take = speedups.Taker(  # type: ignore[method-assign]
                self.take,
                encoder.compiled(speedups),
                look_after=self._look_after,
                local=self._cells.local,
                queue=queue,
                append=queue.append,
                stepper=self._stepper,
                process_id=self.process_id,
                worker_thread=_WORKER,
                urgent_level=logging.ERROR,
                line_overhead=LINE_OVERHEAD,
                publish_bytes=self._publish_bytes,
            )

    def take(self, record: logging.LogRecord) -> None:
        """Take a record; never raises an Exception, never waits for the database."""
        cells = self._cells
        try:
            cell = cells.local.cell
        except AttributeError:
            cell = cells.new()
        if cell.depth >= _MAX_NESTING:
            self._refuse_nested(cell, record)
            return
        cell.depth += 1
        line = None
        try:
            try:
                level, process, thread = record.levelno, record.process, record.threadName
            except AttributeError:  # somebody made it by hand
                whole = logging.makeLogRecord(record.__dict__)  # gives a default to each attribute that is missing
                level, process, thread = whole.levelno, whole.process, whole.threadName
            if process != self.process_id and self._is_for_child(record):
                return
            if thread == _WORKER:  # brought here by another thread, from a queue or buffer
                return
            if self._queue.strained and not self._may_enter(cell, level):
                return
            line = self._encode(record)
            self._append(line)
            try:
                cell.counts[level] += 1
            except (KeyError, TypeError):  # the first of its level in this thread, or something that is no level
                level = level_number(level)
                cell.count(level)
            size = len(line) + LINE_OVERHEAD
            cell.size += size  # without a call in between, after which a signal handler could log and be forgotten
            if cell.size >= self._publish_bytes:
                self._publish(cell)
            if level >= logging.ERROR or self._stepper.asleep:
                self._wake(urgent=level >= logging.ERROR)
        except Exception as error:  # noqa: BLE001 - logging must never become the application's trouble
            with suppress(Exception):  # at the limit of recursion even saying so may fail
                if line is None:
                    self._count_dropped(cell, getattr(record, "levelno", None))
                self._announce(error)
        finally:
            cell.depth -= 1

    def take_note(self, record: logging.LogRecord) -> None:
        """Take a record that the worker itself makes: in its thread, and however full the queue is."""
        line = self._encode(record)
        cell = getattr(self._cells.local, "cell", None) or self._cells.new()
        self._append(line)
        cell.count(record.levelno)
        self._queue.publish(len(line) + LINE_OVERHEAD)

    def totals(self) -> dict[int, int]:
        """Records that the application logged, by level number."""
        return self._cells.totals()

    def _is_for_child(self, record: logging.LogRecord) -> bool:
        """Look twice at a record of another process, or of none: is it this process that is another one by now?"""
        if os.getpid() == self.process_id:
            return False
        self._in_child(record)
        return True

    def _look_after(self, cell: Cell, urgent: bool) -> None:
        """Do what `take` does once a record is counted; never raises an Exception."""
        try:
            if cell.size >= self._publish_bytes:
                self._publish(cell)
            if urgent or self._stepper.asleep:
                self._wake(urgent=urgent)
        except Exception as error:  # noqa: BLE001 - logging must never become the application's trouble
            with suppress(Exception):
                self._announce(error)

    def _announce(self, error: Exception) -> None:
        self._announcer.announce("emit", f"a record could not be taken: {type(error).__name__}")

    def _wake(self, *, urgent: bool) -> None:
        """Have somebody look after the record: the worker, or where that has ended this thread."""
        worker = self._worker
        if self._stepper.ended:
            worker.give_up()
        elif self._stepper.asleep or not worker.urgent:
            worker.wake(urgent=urgent)

    def _publish(self, cell: Cell) -> None:
        """Report what a thread has appended, and act on what that means."""
        queue = self._queue
        size, cell.size = cell.size, 0
        if not queue.publish(size, wait=size >= self._most_unpublished):
            cell.size += size  # whoever has the lock may have to wait for the interpreter: the next record tries again
            return
        if queue.is_full or len(queue) >= self._batch_size or queue.size >= self._batch_bytes:
            self._worker.wake()

    def _may_enter(self, cell: Cell, level: object) -> bool:
        """Deal with a queue that is full or nearly so; False where the record was dropped."""
        if level_number(level) >= self._queue.floor and self._has_room():
            return True
        self._count_dropped(cell, level)
        self._announcer.announce("overflow", "room gets scarce and records are dropped, the lowest levels first")
        return False

    def _has_room(self) -> bool:
        queue = self._queue
        if not queue.is_full:
            return True
        if self._overflow == "block":
            self._worker.wake()
            if queue.wait_for_room(self._block_timeout):
                return True
        if self._overflow != "drop":
            self._worker.relieve()
        return not queue.is_overfull

    def _refuse_nested(self, cell: Cell, record: logging.LogRecord) -> None:
        """Drop a record that is made while too many others are encoded; those of a worker's thread were never meant."""
        if cell.depth < MUTED:
            self._count_dropped(cell, record.levelno)
            self._announcer.announce(
                "nesting", f"records are dropped: the logger {record.name} logs while it is logged"
            )

    def _count_dropped(self, cell: Cell, level: object) -> None:
        number = level_number(level)
        cell.count(number)
        self._tally.lose(dropped={number: 1})
