"""How much room a file system has, what of it stays free, and which errors say that there is none."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHARE: Final = 20
"""A bound yields to a twentieth of a file system where that is less."""


@dataclass(frozen=True, slots=True)
class Space:
    """What a file system said of itself.

    Attributes:
        size: Bytes that it has; 0 where it does not tell.
        free: Bytes that an ordinary user may still take.
        takes_files: False where no file can be made any more, however small.
    """

    size: int
    free: int
    takes_files: bool = True

    def bound(self, reserve: int) -> int:
        """Bytes to keep free: a reserve, or a twentieth of the file system where that is less."""
        return min(reserve, self.size // _SHARE)

    def beside(self, reserve: int) -> int:
        """Bytes beside the bound for a reserve; negative where others have used it."""
        return self.free - self.bound(reserve)


def space(path: Path) -> Space:
    """Ask the file system that has `path`.

    Raises:
        OSError: There is no such path, or it could not be asked.
    """
    found = os.statvfs(path)
    takes_files = found.f_favail > 0 or found.f_files == 0  # some file systems make room for files as they come
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, takes_files)


def is_full(error: OSError) -> bool:
    """True where the disk or a quota has no room: nothing helps but room, whoever makes it."""
    return error.errno in _FULL
