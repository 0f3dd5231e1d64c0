"""A segment of the spool: one append-only file of frames."""

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from dblog.batch import Batch
from dblog.sinks import frames
from dblog.sinks.frames import Damage

_CHUNK: Final = 256 * 1024


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


class Segment:
    """A file `NNNNNNNN.seg` and the one descriptor through which it is written first and read later.

    What lies behind the last frame that was appended or found is never read: a failed `append` could not take it back.

    Attributes:
        path: Where the file is.
        waiting: What is in it and not acknowledged.
        troubles: What went wrong, in words.
        writable: True as long as it can be appended to.
        adopted: True if another writer left it.
        spoiled: True if the file must be kept when all that can be read has been delivered.
    """

    def __init__(self, path: Path, header: bytes, fd: int, size: int) -> None:
        self.path = path
        self.waiting = Figures(bytes=size)
        self.troubles: list[str] = []
        self.spoiled = False
        self.writable = False
        self.adopted = False
        self._header = header
        self._fd = fd
        self._size = size

    @classmethod
    def create(cls, path: Path, header: bytes) -> Self:
        """Make an empty file to append to.

        Raises:
            OSError: It could not be made, or exists.
        """
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        segment = cls(path, header, fd, 0)
        segment.writable = True
        return segment

    @classmethod
    def find(cls, path: Path, header: bytes) -> Self | None:
        """Count what waits in a file that somebody else wrote; None if it was not written under `header`.

        Raises:
            OSError: It could not be read.
        """
        fd = os.open(path, os.O_RDONLY)
        try:
            if frames.is_foreign(fd, header):
                return None
            size = os.fstat(fd).st_size
            waiting = Figures(bytes=size)
            for found in frames.read(fd, header, size):
                if isinstance(found, Batch):
                    waiting += Figures(1, found.levels)
            torn = header.startswith(os.pread(fd, len(header), 0))  # whole or cut short, but without doubt ours
        finally:
            os.close(fd)
        if not waiting.frames and not torn:
            return None
        segment = cls(path, header, -1, size)
        segment.waiting = waiting
        return segment

    def append(self, batch: Batch, frame: bytes, *, fsync: bool) -> None:
        """Append the frame of `batch`, whole or not at all; after a failure the segment takes no more.

        Raises:
            OSError: It could not be written, or the file was deleted in the meantime.
        """
        data = frame if self._size else self._header + frame
        try:
            _write(self._fd, data)
            if fsync:
                os.fsync(self._fd)
            if not self._is_linked():
                raise FileNotFoundError(errno.ENOENT, "the segment was deleted while written", str(self.path))
        except BaseException:
            self._cut_back()
            raise
        self._size += len(data)
        self.waiting += Figures(1, batch.levels, len(data))

    def read(self) -> Iterator[Batch | Damage]:
        """Read from the first frame on; ends writing.

        Raises:
            OSError: The file could not be opened, now, or read, later.
        """
        self.abandon()
        self._fd = os.open(self.path, os.O_RDONLY)
        return frames.read(self._fd, self._header, self._size)

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

    def copy_out(self, damage: Damage, directory: Path) -> Path:
        """Copy damaged bytes into a file of their own in `directory`, which is made if it is missing.

        Raises:
            OSError: They could not be read or written.
        """
        directory.mkdir(mode=0o750, exist_ok=True)
        piece = directory / f"{self.path.stem}-{damage.offset}.part"
        end = damage.offset + damage.length
        fd = os.open(piece, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            for offset in range(damage.offset, end, _CHUNK):
                _write(fd, os.pread(self._fd, min(_CHUNK, end - offset), offset))
        finally:
            os.close(fd)
        return piece

    def remove(self, damaged: Path) -> None:
        """Delete the file, or move it to the directory `damaged` if it is spoiled.

        Raises:
            OSError: It could not be deleted or moved.
        """
        self.abandon()
        if self.spoiled:
            damaged.mkdir(mode=0o750, exist_ok=True)
            self.move(damaged / self.path.name)
        else:
            self.path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Close the descriptor, nothing else."""
        self.writable = False
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _is_linked(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except OSError:
            return False

    def _cut_back(self) -> None:
        """Take the file back to its last whole frame, by its path: after an error the descriptor is not trusted."""
        linked = self._is_linked()
        self.abandon()
        # If this fails, too, nothing is lost: this process does not read behind `_size`, and whoever adopts the file
        # sets a torn frame aside, and delivers a whole one, which the ledger does not let in twice.
        with contextlib.suppress(OSError):
            if linked and self._size:
                os.truncate(self.path, self._size)
            elif linked:
                self.path.unlink()


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
