"""Keeping the rotated files within their bounds, by deleting the oldest ones."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from dblog.files.rotated.backup import Backup
from dblog.files.rotated.backups import Backups
from dblog.files.rotated.bounds import Bounds, expired, surplus
from dblog.files.rotated.limits import Limits
from dblog.selflog import Announcer

_NEAR: Final = 0.9
_FAR: Final = 0.8


class Keeper:
    """Deletes what is too many, too old or too much; whoever calls holds the lock of the live file.

    Args:
        backups: The rotated files.
        limits: What may be kept.
        announcer: Says what could not be deleted, and that a limit is near.

    Attributes:
        limits: What may be kept.
        removed_files: Files that were deleted.
        removed_bytes: Bytes of these.
    """

    def __init__(self, backups: Backups, limits: Limits, announcer: Announcer) -> None:
        self.limits = limits
        self.removed_files = 0
        self.removed_bytes = 0
        self._backups = backups
        self._announcer = announcer
        self._warned = False
        self._given_up = 0
        self._given_up_bytes = 0

    def room_for(self, size: int, extra: int) -> bool:
        """True where `extra` bytes more keep all files within the total; deletes the oldest rotated ones for them.

        A total that is not given never keeps anything from being written.

        Args:
            size: Bytes of the live file.
            extra: Bytes that are about to be written: a line, or several that fit together into a file.
        """
        self.limits.saw(size + extra)
        return self.make_room(size + extra)

    def make_room(self, size: int) -> bool:
        """True where the rotated files leave room for `size` bytes, after the oldest of them were deleted for it.

        Args:
            size: Bytes of the live file, with what is about to come.
        """
        limit = self.limits.bounds.max_total
        if limit is None:
            return True
        if size > limit:
            return False  # not even without any rotated file
        if not self.fits(size):
            try:
                self._backups.give_up_unfinished()
            except OSError as error:
                self._announcer.announce("remove", f"{self._backups.unfinished} cannot be deleted: {error}")
            self._give_up(size, limit)
        if not self.limits.are_given:
            return True
        taken = size + self._backups.total_bytes
        self._warn(taken, limit)
        return taken <= limit

    def fits(self, size: int) -> bool:
        """True where there is room for `size` bytes, the live file's and others, as it is."""
        limit = self.limits.bounds.max_total
        return limit is None or size + self._backups.total_bytes <= limit

    def trim(self, live_bytes: int, now: float) -> list[Backup]:
        """Delete the oldest files until the rest is within all bounds; returns what was deleted."""
        backups, bounds = self._backups, self.limits.bounds
        removed = self._remove(surplus(backups, len(backups), 0, now, replace(bounds, max_total=None)))
        return removed if bounds.max_total is None else removed + self._give_up(live_bytes, bounds.max_total)

    def expire(self, now: float) -> list[Backup]:
        """Delete all files that are too old, wherever they stand; returns what was deleted."""
        return self._remove(expired(self._backups, now, self.limits.bounds))

    def _give_up(self, size: int, limit: int) -> list[Backup]:
        """Delete the oldest files until the rest leaves room for `size` bytes within the total."""
        taken = size + self._backups.total_bytes
        before = self.removed_bytes
        removed = self._remove(surplus(self._backups, 0, taken, 0.0, Bounds(max_total=limit)))
        if removed and self.limits.are_given:
            self._given_up += len(removed)
            self._given_up_bytes += self.removed_bytes - before
            live = self._backups.names.live
            deleted = f"{self._given_up} rotated files with {self._given_up_bytes:,} bytes so far"
            self._announcer.announce("given up", f"{live}: deleted for max_total_bytes {limit:,}: {deleted}")
        return removed

    def _remove(self, backups: Iterable[Backup]) -> list[Backup]:
        removed = []
        for backup in list(backups):
            try:
                freed = self._backups.remove(backup)
            except OSError as error:
                self._announcer.announce("remove", f"{self._backups.path(backup)} cannot be deleted: {error}")
                continue
            self.removed_files += 1
            self.removed_bytes += freed
            removed.append(backup)
        return removed

    def _warn(self, taken: int, limit: int) -> None:
        if taken >= _NEAR * limit and not self._warned:
            self._warned = True
            live = self._backups.names.live
            text = f"{live} and its rotated files take {taken} of {limit} bytes: the oldest ones will be deleted"
            self._announcer.announce("total", text)
        elif taken < _FAR * limit:
            self._warned = False
