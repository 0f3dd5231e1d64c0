"""What the settings of a log file come to: at which size it is rotated, and what may be kept."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dblog.files.bounds import Bounds

if TYPE_CHECKING:
    from dblog.files.settings import FileSettings

_SECONDS_A_DAY: Final = 86_400.0


class Limits:
    """What the settings come to.

    A total that is not given follows from size and count, and yields to single lines that are longer than a file
    should be. Where there is a total but no size, files are rotated at half of it: something has to be deletable.

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
        self._longest = size
        if total is None and size and count:
            total = size * self._files
        days = settings.retention_days
        self.bounds = Bounds(count=count or None, max_age=days and days * _SECONDS_A_DAY, max_total=total)

    def saw(self, line: int) -> None:
        """A line of so many bytes is about to be written."""
        if line > self._longest and not self.are_given and self.bounds.max_total is not None:
            self._longest = line
            self.bounds = replace(self.bounds, max_total=line * self._files)
