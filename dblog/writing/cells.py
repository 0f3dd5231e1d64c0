"""Counting without a lock: each thread has a cell of its own, and whoever wants the sum looks at all of them."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

MUTED: Final = 1_000_000
"""The depth of cells whose records are not taken."""


class Cell:
    """What one thread counts."""

    __slots__ = ("counts", "depth", "size")

    def __init__(self, depth: int) -> None:
        self.counts: dict[int, int] = {}
        """Records by level number."""
        self.size = 0
        """Bytes that were not reported to the queue yet."""
        self.depth = depth
        """How many records are being encoded at this moment, one within the other."""

    def count(self, level: int) -> None:
        """Count a record; a signal handler that counts another one meanwhile is not forgotten."""
        if level not in self.counts:
            self.counts[level] = 0
        self.counts[level] += 1


class _Lease:
    """Belongs to a thread, and hands its cell back when the thread ends."""

    def __init__(self, cell: Cell, ended: deque[Cell]) -> None:
        self._cell = cell
        self._ended = ended

    def __del__(self) -> None:
        self._ended.append(self._cell)


class Cells:
    """The cells of all threads; a thread finds its own as `local.cell`.

    Args:
        mute: True in threads whose records are not taken; asked once for each thread.
        publish: Told the bytes that a thread had not reported when it ended.
    """

    def __init__(self, mute: Callable[[], bool], publish: Callable[[int], object]) -> None:
        self.local = threading.local()
        self._mute = mute
        self._publish = publish
        self._living: dict[int, Cell] = {}
        self._ended: deque[Cell] = deque()
        self._past: Counter[int] = Counter()
        self._lock = threading.RLock()

    def new(self) -> Cell:
        """Make the cell of the calling thread."""
        cell = Cell(depth=MUTED if self._mute() else 0)
        with self._lock:
            self._fold()
            self._living[id(cell)] = cell
        self.local.lease = _Lease(cell, self._ended)
        self.local.cell = cell
        return cell

    def totals(self) -> Counter[int]:
        """Records by level, of all threads that live or lived."""
        with self._lock:
            self._fold()
            total = self._past.copy()
            for cell in self._living.values():
                total.update(dict(cell.counts))  # a copy: its thread goes on counting
            return total

    def _fold(self) -> None:
        """Add up the cells of threads that have ended, so that memory does not grow with their number."""
        while self._ended:
            cell = self._ended.popleft()
            if self._living.pop(id(cell), None) is not None:
                self._past.update(cell.counts)
                self._publish(cell.size)
