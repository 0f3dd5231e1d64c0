"""One file, several processes: the lock that each holds while it writes or rotates."""

import fcntl
import os
from pathlib import Path

from dblog.files.opening import open_or_create
from dblog.files.turn import Turn


class SharedLock:
    """An flock on a file of its own beside the log file: the log file itself changes with each rotation.

    Only the thread that has the turn takes it, and never twice. It goes with the process that holds it, however that
    ends. The file stays, since two processes hold two locks once it was deleted, until the first notices.

    Args:
        live: The log file.
        file_mode: Permissions of the lock file.
        dir_mode: Permissions of new directories above it.
    """

    def __init__(self, live: Path, file_mode: int, dir_mode: int) -> None:
        self.path = live.with_name(f".{live.name}.lock")
        self._file_mode = file_mode
        self._dir_mode = dir_mode
        self._fd = -1

    def __enter__(self) -> None:
        """Wait until no other process has the lock.

        Raises:
            OSError: The lock file could not be opened, or the file system knows no locks.
        """
        try:
            while not self._lock_current():
                self.close()
        except BaseException:  # a signal handler may raise as soon as the lock is there
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock file; in a forked child, too, which would share the lock of its parent."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _lock_current(self) -> bool:
        """Wait for the lock of the file that is open; False where others use another file of that name by now."""
        if self._fd < 0:
            self._fd = open_or_create(self.path, os.O_RDWR, self._file_mode, self._dir_mode)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return False


class FilesLock:
    """Keeps all other threads, and all other processes that share the file, from the files.

    Args:
        turn: Of the threads.
        shared: Of the processes; None for a file that is not shared.
    """

    def __init__(self, turn: Turn, shared: SharedLock | None) -> None:
        self.turn = turn
        self._shared = shared

    def __enter__(self) -> None:
        """Wait until nobody else uses the files.

        Raises:
            OSError: The lock between processes could not be had.
        """
        self.turn.__enter__()
        try:
            if self._shared is not None:
                self._shared.__enter__()
        except BaseException:
            self.turn.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            if self._shared is not None:
                self._shared.__exit__()
        finally:
            self.turn.__exit__()
