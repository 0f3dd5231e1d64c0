"""What is deleted where the disk is full: the oldest rotated files first, and of the live file only what has to go.

The aim is the threshold, or half of a file system that is smaller than twice that. It is reached when so much is free,
or when so much was given back: where somebody else takes every byte at once, or the file system frees with a delay,
the rest of our files would be deleted for nothing. Of a quota nobody can tell how much is free; only what is given
back counts there.

When no rotated file is left, the live one may be too large. It is where cutting it to its last tenth reaches the
threshold, or brings back a file that could not be written otherwise; a cut that helps nobody is not made.
"""

import errno
import io
import os
import sys
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from dblog import disk
from dblog.errors import ConfigurationError
from dblog.files.livefile import LiveFile
from dblog.files.rotated.backup import Backup
from dblog.files.rotated.backups import Backups
from dblog.files.rotated.packing import packing_of
from dblog.selflog import Announcer

_KEPT: Final = 10
"""A live file that is cut keeps its last tenth."""
_CHUNK: Final = 1024 * 1024


class EmergencyCleanup:
    """Makes room on a full disk with files of our own; never raises an OSError.

    Args:
        live: The live file.
        backups: Its rotated files.
        threshold: Bytes to free; with 0 nothing is deleted.
        min_free: Bytes that have to be free before the live file is written again, or a twentieth of the file system
            where that is less.
        newline: How lines end.
        locked: Gives the lock under which files may be renamed, deleted and cut. It is held for moments only.
        announcer: Tells the operator what is gone.

    Attributes:
        removed_files: Rotated files that were deleted.
        removed_lines: Lines that were deleted, with rotated files and from the live one.
        removed_bytes: Bytes of both.
    """

    def __init__(
        self,
        live: LiveFile,
        backups: Backups,
        *,
        threshold: int,
        min_free: int,
        newline: bytes,
        locked: Callable[[], AbstractContextManager[object]],
        announcer: Announcer,
    ) -> None:
        self.restart_after_fork()
        self._live = live
        self._backups = backups
        self._threshold = threshold
        self._min_free = min_free
        self._newline = newline
        self._locked = locked
        self._announcer = announcer

    def restart_after_fork(self) -> None:
        """Count anew in a child."""
        self.removed_files = 0
        self.removed_lines = 0
        self.removed_bytes = 0

    def run(self, error: OSError) -> None:
        """Make room, after an error that said that there is none; what lies among devices has no files beside it."""
        if self._live.is_among_devices or not self._threshold:
            return
        before = (self.removed_files, self.removed_lines, self.removed_bytes)
        cut = 0
        try:
            aim = _Aim(Path(os.path.realpath(self._live.path)).parent, self._threshold, error)
            self._remove_rotated(aim)
            if not aim.reached():
                cut = self._cut_live(aim)
        except OSError as trouble:
            self._announcer.announce("emergency", f"no more room can be made for {self._live.path}: {trouble}")
        after = (self.removed_files, self.removed_lines, self.removed_bytes)
        files, lines, size = (new - old for new, old in zip(after, before, strict=True))
        if size or files:
            live = f", {cut:,} of them from the beginning of the live file," if cut else ""
            text = f"{size:,} bytes{live} with {lines:,} lines and {files} rotated files"
            self._announcer.forget("emergency clean-up")  # each line has figures of its own, and none may be missing
            self._announcer.announce("emergency clean-up", f"the disk is full, deleted for {self._live.path}: {text}")

    def _remove_rotated(self, aim: "_Aim") -> None:
        with self._locked():
            self._backups.scan(datetime.now().astimezone().replace(tzinfo=None))
            oldest_first = list(self._backups)
        for backup in oldest_first:
            if aim.reached():
                return
            try:
                self._remove(backup, aim)
            except FileNotFoundError:  # renamed in between, or deleted by somebody else
                continue

    def _remove(self, backup: Backup, aim: "_Aim") -> None:
        """Delete a file, and count its lines while it still has them: its room comes back when it is closed."""
        path = self._backups.path(backup)
        with path.open("rb") as file, _content(path, file, backup.label.packing) as content:
            found = os.fstat(file.fileno())
            if found.st_ino != backup.inode or found.st_dev != aim.device:
                return  # another file by now, or one whose room is no use to us
            with self._locked():
                self._forget(backup)
            if os.fstat(file.fileno()).st_nlink == found.st_nlink:
                return
            self.removed_files += 1
            self.removed_bytes += found.st_size
            self.removed_lines += _count_lines(content, self._newline)
        if found.st_nlink == 1:
            aim.freed += found.st_blocks * 512

    def _forget(self, backup: Backup) -> None:
        """Delete a file, unless it was renamed in between: then a compression or a rotation has it."""
        if next(iter(self._backups), None) is backup or backup in self._backups:
            self._backups.remove(backup)

    def _cut_live(self, aim: "_Aim") -> int:
        """Cut the live file to its last tenth where that helps; returns the bytes removed."""
        try:
            size = self._live.path.stat().st_size if self._live.is_regular else 0
        except FileNotFoundError:
            return 0
        if not aim.is_helped_by(size - size // _KEPT, self._min_free):
            return 0
        before = self._lines_of_live(size)
        with self._locked():
            if (grown := self._live.path.stat().st_size) != size:  # by another process
                before = self._lines_of_live(grown)
            removed = self._live.cut_to(grown // _KEPT)
        self.removed_lines += before - self._lines_of_live(grown - removed)
        self.removed_bytes += removed
        return removed

    def _lines_of_live(self, size: int) -> int:
        """The lines in the first `size` bytes of the live file."""
        with self._live.path.open("rb") as file:
            return _count_lines(file, self._newline, size)


class _Aim:
    """How much room is to be made, and how far that is."""

    def __init__(self, folder: Path, threshold: int, error: OSError) -> None:
        found = disk.space(folder)
        self.device = folder.stat().st_dev
        self.freed = 0
        self._folder = folder
        self._measurable = found.size > 0 and error.errno != errno.EDQUOT
        self._bytes = min(threshold, found.size // 2) if found.size else threshold
        self._at_first = found.free if self._measurable else 0

    def reached(self) -> bool:
        if not self._measurable:
            return self.freed >= self._bytes
        now = disk.space(self._folder)
        return now.takes_files and (now.free >= self._bytes or self._at_first + self.freed >= self._bytes)

    def is_helped_by(self, size: int, min_free: int) -> bool:
        """True where `size` bytes more reach the aim, or let a file be written that cannot be now."""
        now = disk.space(self._folder)
        free = max(now.free, self._at_first + self.freed) if self._measurable else self.freed
        return 0 <= self._bytes - free <= size or (now.beside(min_free) < 0 <= now.beside(min_free) + size)


def _content(path: Path, file: IO[bytes], packing: str) -> AbstractContextManager[IO[bytes]]:
    """What a file has in it; nothing where its format is one that nothing installed knows any more."""
    if not packing:
        return nullcontext(file)
    try:
        return packing_of(path).open(path)
    except ConfigurationError:
        return io.BytesIO()


def _count_lines(file: IO[bytes], newline: bytes, size: int = sys.maxsize) -> int:
    """Count lines as far as a file can be read, in `size` bytes at most."""
    lines = 0
    try:
        while chunk := file.read(min(_CHUNK, size)):
            size -= len(chunk)
            lines += chunk.count(newline) if len(newline) == 1 else _count_wide(chunk, newline)
    except Exception:  # noqa: BLE001 - a damaged file raises what the library of its format likes
        return lines
    return lines


def _count_wide(chunk: bytes, newline: bytes) -> int:
    """Count ends of lines where each character has several bytes: only at the beginning of one they are any."""
    units = array("H" if len(newline) == 2 else "I", chunk[: len(chunk) - len(chunk) % len(newline)])
    return units.count(int.from_bytes(newline, sys.byteorder))
