"""A directory held by one process: an advisory lock that ends with the process, however it ends."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from dblog.durable import UNFINISHED

STATUS: Final = "status.json"
"""The file in which the owner says how it is; it goes with the directory."""
_NAME: Final = "lock"


class DirectoryLock:
    """The lock of a directory, a file named `lock` in it.

    The lock belongs to the open file and so to every forked child that inherits the descriptor; a child calls
    `abandon()`, which leaves its parent's hold as it is.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / _NAME
        self._fd = -1

    def is_held(self) -> bool:
        """True while this object has the lock and nobody has removed the directory or the lock's file."""
        if self._fd < 0:
            return False
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.stat())
        except OSError:
            return False

    def acquire(self) -> None:
        """Make the directory if it is missing, or take its lock without waiting for it.

        Raises:
            BlockingIOError: Another process holds it.
            OSError: The directory or the file could not be made.
        """
        self.abandon()
        self._directory.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not self._directory.exists():
            self._make()
        elif not self.try_acquire():
            raise BlockingIOError(errno.EWOULDBLOCK, "another process holds the directory", str(self._directory))

    def try_acquire(self) -> bool:
        """Take the lock of a directory that exists; False if another process holds it or the directory is gone.

        Raises:
            OSError: The file could not be opened.
        """
        try:
            self._open(self._path)
        except (BlockingIOError, FileNotFoundError):
            self.abandon()
            return False
        if not self.is_held():  # whoever held it before has removed it
            self.abandon()
            return False
        return True

    def release(self, *, remove: bool) -> bool:
        """Give the lock back, and with `remove` the directory, too, if nothing is left in it that anybody needs.

        Returns:
            True if all of it was removed; whoever just looked in then removes the directory itself.

        Raises:
            OSError: The directory could not be read, or what is in it not be deleted.
        """
        try:
            removed = remove and self.is_held() and self._remove()
            if self._fd >= 0:
                fcntl.flock(self._fd, fcntl.LOCK_UN)  # a child that never let go must not keep it for us
            return removed
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the descriptor, nothing else."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _make(self) -> None:
        """Make the directory under another name and rename it, so that it is never seen without its owner's hold."""
        hidden = self._directory.with_name(f".{self._directory.name}")
        try:
            hidden.mkdir(mode=0o750, exist_ok=True)
            self._open(hidden / _NAME)
            hidden.rename(self._directory)
        except OSError:
            self.abandon()
            with contextlib.suppress(OSError):  # what cannot be tidied up here is used by the next attempt
                (hidden / _NAME).unlink(missing_ok=True)
                hidden.rmdir()
            raise

    def _open(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _remove(self) -> bool:
        rest = [path for path in self._directory.iterdir() if path.name != _NAME]
        if any(path.name != STATUS and not path.name.endswith(UNFINISHED) for path in rest):
            return False
        for path in rest:
            path.unlink()
        self._path.unlink()  # last: until here the directory is ours
        try:
            self._directory.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):  # another one, with a lock made just now, tidies up
                raise
        return True
