"""A hidden file that is being written beside the rotated ones: locked, so that a crash can be told from work."""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from dblog.durable import write_all
from dblog.files.opening import open_file
from dblog.files.rotated.copying import keep_attributes


class Unfinished:
    """A file that gets its name once it is complete.

    Args:
        path: Its hidden name.

    Raises:
        BlockingIOError: Another process writes it.
        OSError: It could not be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
        except OSError:
            os.close(self._fd)
            raise

    def write(self, data: bytes) -> None:
        """Append to it.

        Raises:
            OSError: It could not be written.
        """
        write_all(self._fd, data)

    def complete(self, source: os.stat_result) -> None:
        """Give it mode, owner and times of its source, and bring it to the disk.

        Raises:
            OSError: It could not be done.
        """
        keep_attributes(source, self._fd)
        os.fsync(self._fd)

    def is_there(self) -> bool:
        """False once somebody has deleted it."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.lstat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of it; what has not got its name by then is deleted."""
        try:
            if self.is_there():
                self.path.unlink()
        finally:
            os.close(self._fd)


def remove_abandoned(paths: Iterable[Path]) -> None:
    """Delete those files that no living process writes.

    Raises:
        OSError: One could not be deleted.
    """
    for path in paths:
        try:
            Unfinished(path).close()
        except BlockingIOError:
            continue
