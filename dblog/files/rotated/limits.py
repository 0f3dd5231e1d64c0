"""What the settings of a log file come to: at which size it is rotated, and what may be kept."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dblog.files.rotated.bounds import Bounds

if TYPE_CHECKING:
    from dblog.files.settings import FileSettings

_SECONDS_A_DAY: Final = 86_400.0


class Limits:
    """What the settings come to.

    A total that is not given follows from size and count, and yields to what is larger than a file should be: a long
    line, a file from before, one that cannot be rotated. It says what is deleted, never what is not written. Where
    there is a total but no size, files are rotated at half of it: something has to be deletable.

    Args:
        settings: The settings.

    Attributes:
        are_given: False for a total that follows from size and count.
        max_bytes: Bytes at which a file is rotated; None for no such limit.
        bounds: What may be kept.
    """

    def __init__(self, settings: "FileSettings") -> None:
        total: int | None = settings.max_total_bytes
        size, count = int(settings.max_bytes), settings.backup_count
        self.are_given = total is not None
        self.max_bytes: int | None = None
        if size and (count or total is not None):
            self.max_bytes = size
        elif total is not None:
            self.max_bytes = total // 2
        self._files = 1 + count
        self._largest = size
        if total is None and size and count:
            total = size * self._files
        days = settings.retention_days
        self.bounds = Bounds(count=count or None, max_age=days and days * _SECONDS_A_DAY, max_total=total)

    def fitting(self, lines: Sequence[bytes], start: int, size: int) -> tuple[int, int]:
        """Where those lines end, from `start` on, that go together into a file of `size` bytes, and their bytes.

        It is one line at least.
        """
        end, total = start + 1, len(lines[start])
        room = math.inf if self.max_bytes is None else self.max_bytes - size - 1
        while end < len(lines) and total + len(lines[end]) <= room:
            total += len(lines[end])
            end += 1
        return end, total

    def saw(self, size: int) -> None:
        """A file has so many bytes, or is about to have them."""
        if size > self._largest and not self.are_given and self.bounds.max_total is not None:
            self._largest = size
            self.bounds = replace(self.bounds, max_total=size * self._files)
