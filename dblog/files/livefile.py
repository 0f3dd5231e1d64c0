"""The file that is being written: whole lines go in, and only whole lines stay."""

import errno
import os
import stat
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from dblog.files import cutting
from dblog.files.opening import is_among_devices, open_or_create


class LiveFile:
    """A log file that is only ever appended to, by file descriptor.

    Nothing here takes a lock: whoever calls has the writer's.

    Args:
        path: Where the file is.
        truncate: Empty the file when it is opened for the first time.
        file_mode: Permissions of a new file, whatever the umask.
        dir_mode: Permissions of new directories above it.
        mark: What every new file begins with: the byte order mark of its encoding.
        newline: How a line ends, in the encoding of the file.

    Attributes:
        path: The absolute path.
        fd: The descriptor; -1 while the file is closed.
        size: Bytes in the file, as far as this process knows.
        is_among_devices: True for a path like `/dev/stdout`, whatever that is at the moment.
        is_regular: False for a device, a pipe or a terminal, which is neither cut nor rotated.
        stored: Lines of the last `write` that are whole in the file; to be asked when it raised.
        added: Bytes of the last `write` that are in the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        truncate: bool = False,
        file_mode: int = 0o640,
        dir_mode: int = 0o750,
        mark: bytes = b"",
        newline: bytes = b"\n",
    ) -> None:
        self.path = path
        self.fd = -1
        self.size = 0
        self.is_among_devices = is_among_devices(path)
        self.is_regular = not self.is_among_devices
        self.stored = 0
        self.added = 0
        self._name = os.fspath(path)
        self._truncate = truncate
        self._file_mode = file_mode
        self._dir_mode = dir_mode
        self._mark = mark
        self._newline = newline
        self._identity = (0, 0)
        self._lead: bytes | None = None
        self._torn = False

    @property
    def is_open(self) -> bool:
        """True while there is a descriptor."""
        return self.fd >= 0

    def open(self) -> None:
        """Open the file for appending; make it and the directories above it where they are missing.

        Raises:
            OSError: It could not be opened; nothing is open then. A pipe that nobody reads cannot.
        """
        if self.is_open:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK  # else opening a pipe would wait for somebody to read it
        fd = open_or_create(self.path, flags, self._file_mode, self._dir_mode)
        try:
            self._begin(fd)
        except OSError:
            os.close(fd)
            raise
        self.fd = fd

    def lead(self) -> bytes:
        """What the next `write` puts before its lines: a mark, the end of a line that somebody left torn, or nothing.

        It is decided as late as this, since another writer may be in the middle of a line while the file is opened.

        Raises:
            OSError: The system did not tell how large the file is.
        """
        if self._lead is None:
            self._lead = self._find_lead()
        return self._lead

    def write(self, lines: Sequence[bytes]) -> int:
        """Append lines, in one call where the system takes them in one; returns the number of bytes.

        Raises:
            OSError: Not all could be written. `stored` tells how many lines are in the file; of the next one nothing
                is, or it ends where the next `write` begins a new line.
        """
        self.stored = self.added = 0
        lead = self.lead()
        block = b"".join(lines) if len(lines) > 1 else lines[0]
        if lead:
            block = lead + block
        count, total = len(lines), len(block)
        taken: list[int] = []
        try:
            # In C from the call to the list: what a signal handler raises comes before both or after both.
            taken.extend(map(os.write, (self.fd,), (block,)))
            if taken[0] < total:
                self._write_rest(block, taken)
        except BaseException:
            self._settle(block, lead, lines, sum(taken))
            raise
        self.size += total
        self.added = total
        self.stored = count
        self._lead = b""
        self._torn = False
        return total

    def is_current(self) -> bool:
        """True while the path leads to the file that is open; False once it was deleted or renamed."""
        try:
            found = os.stat(self._name)  # noqa: PTH116 - a string costs less than a Path, and this is asked often
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def measure(self) -> None:
        """Ask for the size again, after other processes had a chance to write.

        Raises:
            OSError: The system did not tell.
        """
        self.size = os.fstat(self.fd).st_size if self.is_regular else 0

    def sync(self) -> None:
        """Bring what was written to the disk.

        Raises:
            OSError: It did not get there.
        """
        try:
            os.fsync(self.fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):  # devices and pipes cannot be synced
                raise

    def cut_to(self, keep: int) -> int:
        """Remove lines from the beginning until at most `keep` bytes are left; returns the bytes removed.

        Raises:
            OSError: The file could not be read, written or cut.
        """
        removed = cutting.cut_to(self.path, keep, self._mark, self._newline)
        if self.is_open:
            self.measure()
        return removed

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: The system reported a late error; the descriptor is closed all the same.
        """
        if self.is_open:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def _begin(self, fd: int) -> None:
        found = os.fstat(fd)
        self._identity = (found.st_dev, found.st_ino)
        self.is_regular = stat.S_ISREG(found.st_mode) and not self.is_among_devices
        self.size = found.st_size if self.is_regular else 0
        if not self.is_regular:
            os.set_blocking(fd, True)
        elif self._truncate:
            os.ftruncate(fd, 0)
            self.size = 0
        self._truncate = False
        self._lead = None
        self._torn = False

    def _find_lead(self) -> bytes:
        torn = self._torn
        if self.is_regular:
            self.measure()
            if not self.size:
                return self._mark
            end = self._end(len(self._newline)) if self.size > len(self._mark) else self._newline
            torn = torn if end is None else end != self._newline
        return self._newline if torn else b""

    def _end(self, width: int) -> bytes | None:
        """The last bytes of the file; None where they cannot be read."""
        opened: list[int] = []  # as in _write_rest: no signal handler can raise between opening and noting it
        try:
            try:
                opened.extend(map(os.open, (self._name,), (os.O_RDONLY,)))
                same = os.path.samestat(os.fstat(opened[0]), os.fstat(self.fd))
                return os.pread(opened[0], width, self.size - width) if same else None
            finally:
                for fd in opened:
                    os.close(fd)
        except OSError:  # it may be written and not read, or there is no descriptor left
            return None

    def _write_rest(self, block: bytes, taken: list[int]) -> None:
        while (done := sum(taken)) < len(block):
            taken.extend(map(os.write, (self.fd,), (block[done:],)))

    def _settle(self, block: bytes, lead: bytes, lines: Sequence[bytes], done: int) -> None:
        """Find out which lines the bytes that were taken have in them, and take back the part of the one after them."""
        ends = list(accumulate(map(len, lines), initial=len(lead)))
        self.stored = sum(end <= done for end in ends[1:])
        part = done - (ends[self.stored] if self.stored else 0)
        self.size += done
        self.added = done
        self._lead = None
        self._torn = self._torn and not self.stored
        if part and self._take_back(block[done - part : done]):
            self.added -= part
        elif part:
            self._torn = True

    def _take_back(self, part: bytes) -> bool:
        """Remove the bytes that were written last; False where others have written after them, who must not be cut."""
        if not self.is_regular:
            return False
        self.measure()
        position = os.lseek(self.fd, 0, os.SEEK_CUR)  # where appending has put the end of what this descriptor wrote
        # A forked process that has the same descriptor moves the position, too: so the bytes are looked at.
        if position != self.size or self._end(len(part)) not in (None, part):
            return False
        try:
            os.ftruncate(self.fd, position - len(part))
        except OSError:  # a disk that fails altogether
            return False
        self.size -= len(part)
        return True
