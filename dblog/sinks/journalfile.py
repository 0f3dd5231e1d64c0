"""One file of the journal: rows as they come, each frame of them closed by its footer."""

import errno
import os
from pathlib import Path
from typing import Final, Self

from dblog.sinks.frames import Header

FOOTER_ROOM: Final = 1024
"""Bytes that are kept free behind the last row, so that a full disk cannot keep the footer out."""
_AHEAD: Final = 64 * 1024
_CANNOT_RESERVE: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class JournalFile:
    """A file `NNNNNNNN.journal` and the descriptor through which it is written.

    Room is reserved before it is needed: the file ends with zeros behind `end`, and a disk that fills up says so
    between two rows, not within one.

    Attributes:
        path: Where the file is.
        end: Where the next row or footer goes.
        frame: Where the open frame begins; `end` where it has no rows.
        unsettled: The numbers of the closed frames that nobody else owns yet.
        worn: True where a file that follows takes the next frame.
    """

    def __init__(self, path: Path, header: Header, fd: int) -> None:
        self.path = path
        self.unsettled: set[int] = set()
        self.worn = False
        self.end = self.frame = len(header.line)
        self._fd = fd
        self._reserved = self.end
        self._synced = 0

    @classmethod
    def create(cls, path: Path, header: Header) -> Self:
        """Make a file with nothing but the header.

        Raises:
            OSError: It could not be made, or exists.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            _write(fd, header.line, 0)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        return cls(path, header, fd)

    @property
    def settled(self) -> bool:
        """True where nothing in the file is needed any more."""
        return not self.unsettled and self.end == self.frame

    @property
    def linked(self) -> bool:
        """False once somebody deleted the file or its directory."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except OSError:
            return False

    def append(self, rows: bytes) -> None:
        """Append rows to the open frame, all or none.

        Raises:
            OSError: They could not be written.
        """
        start, size = self.end, len(rows)
        if start + size + FOOTER_ROOM > self._reserved:
            self._reserve(start + size + FOOTER_ROOM)
        try:
            if os.pwrite(self._fd, rows, start) < size:
                raise _no_room()
        except BaseException:  # of a signal handler, too
            self.cut_back(start)
            raise
        self.end = start + size

    def close_frame(self, seq: int, footer: bytes) -> None:
        """Close the open frame; where that fails its rows leave the file.

        Raises:
            OSError: The footer could not be written.
        """
        try:
            _write(self._fd, footer, self.end)
        except BaseException:
            self.cut_back(self.frame)
            raise
        self.unsettled.add(seq)
        self.end += len(footer)
        self.frame = self.end

    def cut_back(self, end: int) -> None:
        """Take the file back to `end`; one that cannot be cut takes no more frames.

        Raises:
            OSError: It could not be cut.
        """
        self.worn = True
        self.end = self._reserved = end
        os.ftruncate(self._fd, end)
        self.worn = False

    def fsync(self) -> None:
        """Bring to the disk what was written so far; after a failure the file takes no more frames.

        Other threads may go on writing, and close the file.

        Raises:
            OSError: It is not known what is on the disk.
        """
        end = self.end
        if end == self._synced or self._fd < 0:
            return
        fd = os.dup(self._fd)
        try:
            os.fsync(fd)
        except BaseException:
            self.worn = True
            raise
        finally:
            os.close(fd)
        self._synced = end

    def trim(self) -> None:
        """Give back what was reserved.

        Raises:
            OSError: The file could not be cut.
        """
        if self._fd >= 0 and self._reserved > self.end:
            os.ftruncate(self._fd, self.end)
            self._reserved = self.end

    def close(self) -> None:
        """Close the descriptor, nothing else."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _reserve(self, end: int) -> None:
        """Have room up to `end`, and some for the next rows where there is enough."""
        if not hasattr(os, "posix_fallocate"):  # macOS
            return
        for wanted in (end + _AHEAD, end):
            try:
                os.posix_fallocate(self._fd, self._reserved, wanted - self._reserved)
            except OSError as error:
                if error.errno in _CANNOT_RESERVE:
                    return
                if wanted == end:
                    raise
            else:
                self._reserved = wanted
                return


def _write(fd: int, data: bytes, offset: int) -> None:
    if os.pwrite(fd, data, offset) < len(data):
        raise _no_room()


def _no_room() -> OSError:
    """What a write means that takes only a part: the next one would say so."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
