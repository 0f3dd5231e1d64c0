"""A segment of the spool: one append-only file of frames."""

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from dblog import durable
from dblog.batch import Batch
from dblog.sinks import frames
from dblog.sinks.frames import Damage, Header

Fsync = Literal["never", "interval", "always"]
"""When what was appended is brought to the disk: by the kernel alone, now and then, or before `append` returns."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What waits."""

    frames: int = 0
    """Batches."""
    levels: Mapping[int, int] = field(default_factory=dict)
    """Rows by level number."""
    bytes: int = 0
    """Bytes on disk, with those frames of a segment that are delivered already: it is deleted as a whole."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(self.levels.values())

    def __add__(self, other: Self) -> "Figures":
        levels = Counter(self.levels)
        levels.update(other.levels)
        return Figures(self.frames + other.frames, levels, self.bytes + other.bytes)

    def without(self, batch: Batch) -> "Figures":
        """The figures after `batch` was delivered."""
        return Figures(self.frames - 1, Counter(self.levels) - Counter(batch.levels), self.bytes)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that the spool could not bring back or clean up."""

    path: Path
    """The segment or directory."""
    reason: str
    """What happened, and where to find what is left; never a part of a record."""
    levels: Mapping[int, int]
    """Rows by level number that had been figured as waiting and will not come back."""
    adopted: bool = False
    """True for what another writer had left."""


class Segment:
    """A file `NNNNNNNN.seg`, written first and read later.

    Nothing behind the last frame that was appended or found is read: a failed `append` could not take it back.

    Attributes:
        path: Where the file is.
        waiting: What is in it and not acknowledged.
        troubles: What went wrong, in words.
        writable: True as long as it can be appended to.
        begun: When it was made, in seconds of whoever made it.
        owes_sync: True while something in it was not brought to the disk that should be.
        adopted: True if another writer left it.
        spoiled: True if the file must be kept when all that can be read has been delivered.
    """

    def __init__(self, path: Path, header: Header, size: int) -> None:
        self.path = path
        self.waiting = Figures(bytes=size)
        self.troubles: list[str] = []
        self.writable = False
        self.begun = 0.0
        self.owes_sync = False
        self.adopted = False
        self.spoiled = False
        self._header = header
        self._size = size
        self._out = -1
        self._in = -1

    @classmethod
    def create(cls, path: Path, header: Header, now: float) -> Self:
        """Make an empty file to append to.

        Raises:
            OSError: It could not be made, or exists.
        """
        segment = cls(path, header, 0)
        segment._out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        segment.writable = True
        segment.begun = now
        return segment

    def append(self, batch: Batch, frame: bytes, fsync: Fsync) -> None:
        """Append the frame of `batch`, whole or not at all; after a failure the segment takes no more.

        Raises:
            OSError: It could not be written, or the file was deleted in the meantime.
        """
        data = frame if self._size else self._header.line + frame
        try:
            durable.write_all(self._out, data)
            if fsync == "always":
                os.fsync(self._out)
            if fsync == "always" and not self._size:
                durable.sync_directory(self.path.parent)
            if not self._is_linked():
                raise FileNotFoundError(errno.ENOENT, "the segment was deleted while written", str(self.path))
        except BaseException:
            self._cut_back()
            raise
        self._size += len(data)
        self.owes_sync = fsync == "interval"
        self.waiting += Figures(1, batch.levels, len(data))

    def sync(self) -> None:
        """Bring to the disk what was appended; after a failure the segment takes no more.

        Raises:
            OSError: It failed, and what was appended may be lost: the kernel says so only once.
        """
        self.owes_sync = False
        try:
            os.fsync(self._out)
            durable.sync_directory(self.path.parent)
        except OSError:
            self.writable = False
            raise
        finally:
            if not self.writable:
                self.seal()

    def seal(self) -> None:
        """End writing; the descriptor stays for `sync` where that is owed."""
        self.writable = False
        if not self.owes_sync:
            self._close_out()

    def frames(self) -> Iterator[Batch | Damage]:
        """All that is in the file, through a descriptor of its own.

        Raises:
            OSError: The file could not be opened or read.
        """
        fd = os.open(self.path, os.O_RDONLY)
        try:
            yield from frames.read(fd, self._header, self._size)
        finally:
            os.close(fd)

    def read(self) -> Iterator[tuple[int, Batch | Damage]]:
        """Read from the first frame on, each with the place of its footer; ends writing.

        Raises:
            OSError: The file could not be opened, now, or read, later.
        """
        self.seal()
        self._in = os.open(self.path, os.O_RDONLY)
        return frames.locate(self._in, self._header, self._size)

    def cancel(self, batch: Batch, mark: int) -> None:
        """Let nobody read `batch`, whose footer is at `mark`, from this file again.

        Raises:
            OSError: The file could not be written.
        """
        try:
            fd = os.open(self.path, os.O_WRONLY)
        except FileNotFoundError:  # somebody deleted it: nobody will read it again
            return
        try:
            frames.cancel(fd, batch, self._header, mark)
            os.fsync(fd)
        finally:
            os.close(fd)

    def read_bytes(self, offset: int, length: int) -> bytes:
        """Bytes of the file that is being read. Raises OSError."""
        return os.pread(self._in, length, offset)

    def acknowledge(self, batch: Batch) -> None:
        """Count `batch` as delivered."""
        self.waiting = self.waiting.without(batch)

    def move(self, path: Path) -> None:
        """Give the file another place on the same file system.

        Raises:
            OSError: It could not be moved.
        """
        self.path.rename(path)
        self.path = path

    def remove(self) -> None:
        """Delete the file. Raises OSError."""
        self.abandon()
        self.path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Close the descriptors, nothing else."""
        self.writable = self.owes_sync = False
        self._close_out()
        fd, self._in = self._in, -1
        if fd >= 0:
            os.close(fd)

    def _close_out(self) -> None:
        fd, self._out = self._out, -1
        if fd >= 0:
            os.close(fd)

    def _is_linked(self) -> bool:
        try:
            mine = os.fstat(self._out)
        except OSError:
            return False
        try:
            return os.path.samestat(mine, self.path.stat())
        except PermissionError:  # the way there is closed to us, which does not delete it
            return mine.st_nlink > 0
        except OSError:
            return False

    def _cut_back(self) -> None:
        """Take the file back to its last whole frame, by its path: after an error the descriptor is not trusted."""
        linked = self._is_linked()
        self.seal()
        # If this fails, too, nothing is lost: this process does not read behind `_size`, and whoever adopts the file
        # sets a torn frame aside, and delivers a whole one, which the ledger does not let in twice.
        with contextlib.suppress(OSError):
            if linked and self._size:
                os.truncate(self.path, self._size)
            elif linked:
                self.path.unlink()
