"""The queue between the application's threads and the worker: encoded lines, bounded in bytes, cut into batches."""

import logging
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import repeat, starmap
from operator import itemgetter
from typing import Final

from dblog.batch import Batch, BatchKey
from dblog.locks import acquire
from dblog.writing.row import TIMESTAMP_WIDTH
from dblog.writing.speedups import load

LINE_OVERHEAD: Final = 48
"""Bytes of memory that a line costs beside its text: a bytes object and its place in the deque."""
RESERVE: Final = 1.25
"""What the queue may take beyond its bound, as a factor: for ERROR and above, and while others make room."""
_LEVEL: Final = slice(TIMESTAMP_WIDTH + 1, TIMESTAMP_WIDTH + 4)
_level_of: Final[Callable[[bytes], bytes]] = itemgetter(_LEVEL)
_FLOORS: Final = ((0.97, logging.ERROR), (0.9, logging.WARNING), (0.8, logging.INFO))


def floor_at(fullness: float) -> int:
    """The level below which records are dropped where room gets scarce; 0 for none.

    Args:
        fullness: The share of the room that is used, 1 for all of it.
    """
    return next((level for share, level in _FLOORS if fullness >= share), 0)


def utc_day() -> str:
    """The current day, `YYYY-MM-DD`."""
    return datetime.now(UTC).date().isoformat()


class LineQueue:
    """Lines in the order of their arrival, and the one place where batches get their keys.

    `append` is the deque's own, so that threads that log share no lock. Its callers report the bytes now and then
    through `publish`, without waiting for each other, which is why `size` may lag behind by what each thread has not
    reported yet.

    Args:
        max_bytes: The memory that waiting lines may take.
        today: Gives the current UTC day.
        writer_id: The writer's UUID, 32 hexadecimal digits; a new one by default.
        sheds: Drop the lowest levels before the queue is full.
    """

    def __init__(
        self,
        max_bytes: int,
        today: Callable[[], str] = utc_day,
        *,
        writer_id: str | None = None,
        sheds: bool = False,
    ) -> None:
        self.writer_id = writer_id or uuid.uuid4().hex
        self.max_bytes = max_bytes
        self.strained = False
        """True while not every record may enter at once: the queue is full, or there is a floor."""
        self.is_full = False
        self.floor = 0
        """Records below this level are to be dropped."""
        self.size = 0
        self.taken = 0
        """Lines that have left the queue so far."""
        self._lines: deque[bytes] = deque()
        self._assemble = assemble if (speedups := load()) is None else speedups.assemble
        self.append = self._lines.append
        self._today = today
        self._sheds = sheds
        self._spool_floor = 0
        self._seq = 0
        self._lock = threading.RLock()  # re-entrant: a signal handler may log while its thread holds it
        self._room = threading.Condition(self._lock)

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def is_overfull(self) -> bool:
        """True where even the reserve for records that matter is used up."""
        return self.size >= self.max_bytes * RESERVE

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until the queue is not full; False when `timeout` seconds are over."""
        with self._lock:  # not the condition, in whose own code a signal handler could raise with the lock held
            return self._room.wait_for(lambda: not self.is_full, timeout)

    def publish(self, size: int, *, wait: bool = True) -> bool:
        """Count bytes that were appended; False where another thread is at it and `wait` is False."""
        held: list[bool] = []
        try:
            if not acquire(self._lock, held, blocking=wait):
                return False
            self._resize(size)
            return True
        finally:
            if True in held:
                self._lock.release()

    def restrict(self, floor: int) -> None:
        """Have records below a level dropped, because the room behind the queue gets scarce; 0 for none."""
        with self._lock:
            self._spool_floor = floor
            self._resize(0)

    def take(self, max_count: int, max_bytes: int) -> Batch | None:
        """Form a batch of the oldest lines; None where there are none."""
        with self._lock:
            lines = self._take_lines(max_count, max_bytes)
            if not lines:
                return None
            key, accepted = self._next_key(), self.taken + len(self)
        return self._form(key, lines, accepted)  # without the lock, which threads that log need now and then

    def answers(self, timeout: float) -> bool:
        """False where a thread is stuck in the queue, as in a journal on a disk that does not answer."""
        held: list[bool] = []
        try:
            return acquire(self._lock, held, timeout=timeout)
        finally:
            if True in held:
                self._lock.release()

    def closing_batch(self) -> Batch:
        """The batch without rows that tells the ledger that this writer ended cleanly."""
        with self._lock:
            return Batch(self._next_key(), b"", Counter(), None, None, self.taken + len(self), closing=True)

    def levels(self) -> Counter[int]:
        """Waiting lines by level."""
        return _count_levels(self._lines.copy())

    def _take_lines(self, max_count: int, max_bytes: int) -> list[bytes]:
        lines: list[bytes] = []
        # In one call to C, which no signal handler interrupts: what was taken must not be lost with the rest.
        with suppress(IndexError):  # one that came before it may have taken lines in the same thread
            lines.extend(starmap(self._lines.popleft, repeat((), min(max_count, len(self._lines)))))
        size = sum(map(len, lines))
        while size > max_bytes and len(lines) > 1:
            size -= len(lines[-1])
            self._lines.appendleft(lines.pop())
        self.taken += len(lines)
        self._resize(-size - LINE_OVERHEAD * len(lines))
        return lines

    def _resize(self, change: int) -> None:
        self.size += change
        self.is_full = self.size >= self.max_bytes
        own_floor = floor_at(self.size / self.max_bytes) if self._sheds else 0
        self.floor = max(own_floor, self._spool_floor)
        self.strained = self.is_full or self.floor > 0
        if not self.is_full:
            self._room.notify_all()

    def _next_key(self) -> BatchKey:
        self._seq += 1
        return BatchKey(self._today(), self.writer_id, self._seq)

    def _form(self, key: BatchKey, lines: list[bytes], accepted: int) -> Batch:
        """Make a batch of lines, of which there is one at least; `accepted` is what the writer has accepted so far."""
        payload, levels, first, last = self._assemble(f"{key.writer_id}\t{key.seq}\t".encode(), lines)
        return Batch(key, payload, Counter(levels), first.decode(), last.decode(), accepted)


def assemble(prefix: bytes, lines: list[bytes]) -> tuple[bytes, Mapping[int, int], bytes, bytes]:
    """The lines, each behind the prefix; the number of lines by level; the smallest and the largest timestamp."""
    first, last = min(lines), max(lines)  # a line begins with its timestamp
    return prefix.join([b"", *lines]), _count_levels(lines), first[:TIMESTAMP_WIDTH], last[:TIMESTAMP_WIDTH]


def _count_levels(lines: Iterable[bytes]) -> Counter[int]:
    """Count lines by the number behind the timestamp; two digits and a tab but for custom levels."""
    starts = Counter(map(_level_of, lines))
    if all(start[2:] == b"\t" for start in starts):
        return Counter({int(start[:2]): count for start, count in starts.items()})
    return Counter(int(line[_LEVEL.start : line.index(b"\t", _LEVEL.start)]) for line in lines)
