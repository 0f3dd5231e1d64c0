"""What goes through on its way into a file: it is counted, and its digest is taken."""

import hashlib
from collections.abc import Callable, Iterator
from typing import IO

from dblog.archive.interfaces import Rows

Advance = Callable[[int], object]
"""Is told how many more rows were dealt with."""


class Counted:
    """Rows on their way into a file: how many, and their digest."""

    def __init__(self, advance: Advance) -> None:
        self.count = 0
        self.digest = hashlib.sha256()
        self._advance = advance

    def of(self, found: Iterator[tuple[bytes, int]]) -> Rows:
        """The rows as they come."""
        for piece, rows in found:
            self.count += rows
            self.digest.update(piece)
            yield piece
            self._advance(rows)


class Hashed:
    """A file that is written: its size and its digest."""

    closed = False

    def __init__(self, sink: IO[bytes]) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._sink = sink

    def write(self, data: bytes) -> int:
        """Write, and count."""
        self._sink.write(data)
        self.size += len(data)
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back here."""
