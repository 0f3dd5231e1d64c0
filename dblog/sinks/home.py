"""A writer's own directory: held by its lock, with numbered segments."""

import re
from pathlib import Path
from typing import Final

from dblog import durable
from dblog.sinks.lock import STATUS, DirectoryLock

_SEGMENT: Final = re.compile(r"[0-9]{8}\.seg")


class Home:
    """The directory of one writer, made when it is needed.

    Args:
        path: Where it is.
        fsync: Bring the directory itself to the disk when it was taken.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: Path, *, fsync: bool) -> None:
        self.path = path
        self._fsync = fsync
        self._lock = DirectoryLock(path)
        self._number = 0

    def is_held(self) -> bool:
        """True while this process has the lock, and nobody has removed the directory."""
        return self._lock.is_held()

    def hold(self) -> bool:
        """Have the directory and its lock; True if they had to be taken.

        Raises:
            BlockingIOError: Another process holds it.
            OSError: It could not be made.
        """
        if self._lock.is_held():
            return False
        self._lock.acquire()
        try:
            used = (int(path.stem) for path in self.path.iterdir() if _SEGMENT.fullmatch(path.name))
            self._number = max(self._number, *used, 0)
            if self._fsync:
                durable.sync_directory(self.path.parent)
        except OSError:
            self._lock.abandon()  # so that all of this is done again
            raise
        return True

    def next_segment(self) -> Path:
        """Where the next segment goes."""
        self._number += 1
        return self.path / f"{self._number:08}.seg"

    def write_status(self, text: bytes) -> None:
        """Replace `status.json`.

        Raises:
            OSError: It could not be written.
        """
        durable.replace(self.path / STATUS, text, fsync=False)

    def release(self, *, remove: bool) -> None:
        """Give the lock back, and with `remove` the directory, too, if nothing is left in it that anybody needs.

        Raises:
            OSError: It could not be removed.
        """
        self._lock.release(remove=remove)

    def abandon(self) -> None:
        """Close the lock's descriptor, nothing else."""
        self._lock.abandon()
