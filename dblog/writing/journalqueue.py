"""The queue of `durability: journal`: a line is in a file before `append` returns."""

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, TypeVar

from dblog.batch import Batch
from dblog.sinks.journal import Journal
from dblog.writing.linequeue import LINE_OVERHEAD, LineQueue, utc_day

RETRY_SECONDS: Final = 1.0
"""Seconds after a failure of the journal in which lines are kept in memory only."""

_Outcome = TypeVar("_Outcome")


class JournalQueue(LineQueue):
    """A `LineQueue` whose lines are in the journal, too, in frames that are the batches of later.

    Threads that log at the same moment share a write: each puts its line down, and whoever has the lock writes all that
    lie there. A frame is closed when it is full or its batch is taken, and stays one batch from then on.

    Where the journal fails, lines wait in memory as in a `LineQueue`, in batches of their own, and the journal is tried
    again after a second.

    A record that a signal handler logs while its thread is writing waits for that write: it is in the file before the
    call returns that the signal interrupted, not before its own call does.

    Args:
        max_bytes: The memory that waiting lines may take.
        journal: Where lines are written.
        writer_id: The writer's UUID, 32 hexadecimal digits.
        batch_size: Lines that close a frame.
        batch_bytes: Bytes of lines that close a frame.
        trouble: Told each failure of the journal, in the thread that met it; may log nothing.
        today: Gives the current UTC day.
        clock: Monotonic seconds.
        sheds: Drop the lowest levels before the queue is full.
    """

    def __init__(
        self,
        max_bytes: int,
        journal: Journal,
        *,
        writer_id: str,
        batch_size: int,
        batch_bytes: int,
        trouble: Callable[[OSError], None],
        today: Callable[[], str] = utc_day,
        clock: Callable[[], float] = time.monotonic,
        sheds: bool = False,
    ) -> None:
        super().__init__(max_bytes, today, writer_id=writer_id, sheds=sheds)
        self.journal = journal
        self.append = self._append
        self._batch_size = batch_size
        self._batch_bytes = batch_bytes
        self._trouble = trouble
        self._clock = clock
        self._incoming: deque[bytes] = deque()
        self._batches: deque[tuple[Batch, int]] = deque()
        self._batched = 0  # lines in `_batches`
        self._prefix = b""
        self._frame_size = 0
        self._on_disk = True
        self._retry_at = 0.0
        self._busy = False
        self._failures: deque[OSError] = deque()

    def __len__(self) -> int:
        with self._lock:
            return len(self._lines) + self._batched

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until the queue is not full; False when `timeout` seconds are over, or at once in a signal handler.

        Waiting lets go of the lock, and a signal handler may have interrupted its thread in the middle of a frame.
        """
        with self._lock:
            return not self.is_full if self._busy else super().wait_for_room(timeout)

    def take(self, max_count: int, max_bytes: int) -> Batch | None:
        """The oldest batch; None where there are no lines. Its frame is closed, whatever the limits are by now."""
        with self._lock:
            # Busy is this thread itself, interrupted by a signal handler in the middle of a frame.
            batch = None if self._busy else self._exclusively(self._take)
        self._report()
        return batch

    def closing_batch(self) -> Batch:
        """The batch without rows that tells the ledger that this writer ended cleanly."""
        with self._lock:
            batch = self._exclusively(self._close)
        self._report()
        return batch

    def levels(self) -> Counter[int]:
        """Waiting lines by level."""
        with self._lock:
            waiting = super().levels()
            for batch, _ in self._batches:
                waiting.update(batch.levels)
            return waiting

    def _append(self, line: bytes) -> None:
        self._incoming.append(line)
        with self._lock:
            while self._incoming and not self._busy:
                self._busy = True
                try:
                    self._bring_in()
                finally:
                    self._busy = False
        if self._failures:
            self._report()

    def _exclusively(self, work: Callable[[], _Outcome]) -> _Outcome:
        """Do something to the frames that the line of a signal handler must not come between."""
        self._busy = True
        try:
            outcome = work()
        finally:
            self._busy = False
        while self._incoming:
            self._exclusively(self._bring_in)
        return outcome

    def _take(self) -> Batch | None:
        if not self._batches:
            self._cut()
        if not self._batches:
            return None
        batch, size = self._batches.popleft()
        self._batched -= batch.rows
        self.taken += batch.rows
        self._resize(-size)
        return batch

    def _close(self) -> Batch:
        self._cut()
        return super().closing_batch()

    def _bring_in(self) -> None:
        """Take the lines that lie there into the open frame: first the file, then memory."""
        if not self._incoming:  # a signal handler has come between the caller's look and `_busy`
            return
        if not (self._on_disk and self.journal.usable):
            self._renew()
        if not self._lines:
            self._prefix = f"{self.writer_id}\t{self._seq + 1}\t".encode()
        take = self._incoming.popleft
        lines = [take() for _ in range(min(len(self._incoming), self._batch_size - len(self._lines)))]
        try:
            if self._on_disk:
                self.journal.write(self._prefix + self._prefix.join(lines))
        except BaseException as error:  # a signal handler may raise, too, and its thread may hold lines of others
            self._leave_journal()
            if not isinstance(error, OSError):
                raise
            self._failures.append(error)
        finally:
            self._lines.extend(lines)
            self._frame_size += sum(map(len, lines))
        if len(self._lines) >= self._batch_size or self._frame_size >= self._batch_bytes:
            self._cut()

    def _renew(self) -> None:
        """Begin a frame in the journal where that may work again, else one in memory."""
        if self.journal.closed:
            if self._on_disk:
                self._leave_journal()
        elif self._clock() >= self._retry_at:
            self._cut()
            self._on_disk = True

    def _leave_journal(self) -> None:
        """Begin a frame in memory: what is in the file and what is not are never one batch."""
        self._cut()
        self._on_disk = False
        self._retry_at = self._clock() + RETRY_SECONDS

    def _cut(self) -> None:
        """Make the open frame a batch; without its footer in the file it is one in memory only."""
        if not self._lines:
            return
        batch = self._form(self._next_key(), list(self._lines), self.taken + len(self))
        if self._on_disk:
            try:
                self.journal.seal(batch)
            except OSError as error:
                self._failures.append(error)
        self._batches.append((batch, self._frame_size + LINE_OVERHEAD * batch.rows))
        self._batched += batch.rows
        self._lines.clear()
        self._frame_size = 0

    def _report(self) -> None:
        """Tell the failures, without the lock: whoever is told may have to wait for a terminal."""
        while self._failures:
            self._trouble(self._failures.popleft())
