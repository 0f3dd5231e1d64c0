"""The lines of one writer that wait for the file, taken and given without a lock."""

from collections.abc import Sequence
from typing import Final

MEMORY_LIMIT: Final = 4 * 1024 * 1024
"""Bytes that may wait beside the block, whatever the number of lines."""

PATIENCE: Final = 1.0
"""Seconds for which a single write is taken for fast. A thread that comes back from the system may have to wait that
long for the interpreter where a hundred others log; that is no reason to hold these up, too."""


class LineBuffer:
    """A list of encoded lines, oldest first; a line leaves it when it is in the file, or has gone another way.

    `put` may be called by any thread at any time, from signal handlers, too: it takes no lock, each of its steps is
    one that the interpreter does not divide. All else belongs to the thread that holds the writer's lock.

    Args:
        block_size: Bytes that make a block full; 0 lets nothing wait.
        max_waiting: Lines that may wait beside the block that is being written.

    Attributes:
        lines: What waits, and what is being written. Whoever has written the oldest ones deletes them here.
        size: Bytes put since the last block was taken. An estimate: it may be a few lines off until the next one.
        in_hand: Lines of the block that is being written.
    """

    def __init__(self, block_size: int, max_waiting: int) -> None:
        self.block_size = block_size
        self.size = 0
        self.in_hand = 0
        self._max_waiting = max_waiting
        self._limit = max(MEMORY_LIMIT, 2 * block_size)
        self.lines: list[bytes] = []
        self._append = self.lines.append

    def put(self, line: bytes) -> bool:
        """Add a line; True where the block is full."""
        self._append(line)
        self.size += len(line)
        return self.size >= self.block_size

    def take(self) -> Sequence[bytes]:
        """A copy of all lines, which stay until it is known what became of them."""
        lines = self.lines[:]
        self.in_hand = len(lines)
        self.size = 0
        return lines

    def overflows(self, writing_for: float) -> bool:
        """True where a line has to wait for room, or be dropped, while another thread writes.

        Args:
            writing_for: Seconds that the other thread's write has taken so far.
        """
        if self.size >= self._limit:
            return True
        return writing_for >= PATIENCE and len(self.lines) - self.in_hand > self._max_waiting
