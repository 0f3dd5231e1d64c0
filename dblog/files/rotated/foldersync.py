"""Bringing the names in a folder to the disk: after each change, but once a second at most."""

import math
from pathlib import Path
from typing import Final

from dblog.durable import sync_directory
from dblog.selflog import Announcer

_PAUSE: Final = 1.0
"""Seconds between two syncs."""


class FolderSync:
    """Syncs the folder of rotated files.

    Args:
        announcer: Says where that failed.
    """

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._owed: Path | None = None
        self._synced = -math.inf

    def changed(self, folder: Path, now: float) -> None:
        """Names have changed: sync them, or leave that to the next change or `settle`.

        Args:
            folder: The folder.
            now: Seconds since 1970.
        """
        self._owed = folder
        if abs(now - self._synced) >= _PAUSE:
            self._synced = now
            self.settle()

    def settle(self) -> None:
        """Sync what is still to be synced."""
        folder, self._owed = self._owed, None
        if folder is None:
            return
        try:
            sync_directory(folder)
        except OSError as error:
            self._announcer.announce("sync", f"{folder} cannot be brought to the disk: {error}")
