"""How much of the disk the spool may take: its own limit, and what it leaves to everybody else."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dblog import disk

_LOOK_SECONDS: Final = 1.0


class SpoolFull(OSError):  # noqa: N818 - reads as what it says
    """The spool has reached a limit of its own; the disk may have room."""


class Room:
    """The limits of one writer's spool.

    Args:
        home: The writer's directory, on the file system that is watched.
        max_bytes: Bytes that the segments may take together.
        min_free: Bytes to leave free on the file system, or a twentieth of the file system where that is less; 0
            leaves nothing.
        clock: Monotonic seconds.
    """

    def __init__(self, home: Path, max_bytes: int, min_free: int, clock: Callable[[], float]) -> None:
        self._home = home
        self._max_bytes = max_bytes
        self._min_free = min_free
        self._clock = clock
        self._seen = (float("-inf"), 0)

    def demand(self, taken: int, more: int) -> None:
        """Make sure that `more` bytes fit, where the segments take `taken` bytes already.

        Raises:
            SpoolFull: They do not.
            OSError: The file system could not be asked.
        """
        if taken + more > self._max_bytes:
            reason = f"it has reached its limit, spool_max_bytes: {self._max_bytes}"
            raise SpoolFull(errno.EDQUOT, reason, str(self._home))
        if self._min_free and (spare := self._spare()) < more:
            reason = (
                f"{more} bytes do not fit, the disk has {max(0, spare)} to spare beside what stays free: "
                f"spool_min_free, {self._min_free}, or a twentieth of a small disk"
            )
            raise SpoolFull(errno.ENOSPC, reason, str(self._home))

    def share(self, taken: int) -> float:
        """The part of `max_bytes` that `taken` bytes are, from 0 to 1."""
        return min(1.0, taken / self._max_bytes)

    def left(self, taken: int) -> int:
        """Bytes that may still be taken beside the `taken` ones; any thread may ask as often as it likes."""
        left = self._max_bytes - taken
        return max(0, min(left, self._recent_spare()) if self._min_free else left)

    def _spare(self) -> int:
        """Bytes that may still be taken; negative where others have used up the reserve."""
        return disk.space(self._home).beside(self._min_free)

    def _recent_spare(self) -> int:
        looked, spare = self._seen
        now = self._clock()
        if now - looked >= _LOOK_SECONDS:
            try:
                spare = self._spare()
            except OSError:  # no directory yet, or not any more: the next append says why, or makes it
                spare = self._max_bytes
            self._seen = (now, spare)
        return spare
