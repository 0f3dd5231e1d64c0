"""One rotated file, as it was found on the disk."""

import stat
from dataclasses import dataclass
from pathlib import Path

from dblog.files.rotated.names import Label


@dataclass(frozen=True, slots=True)
class Backup:
    """A rotated file.

    Attributes:
        name: Its name in the folder.
        label: What the name says.
        size: Bytes.
        mtime: When it was written last, in seconds since 1970.
        inode: What it keeps under any name.
    """

    name: str
    label: Label
    size: int
    mtime: float
    inode: int


def look_at(path: Path, label: Label) -> Backup | None:
    """What is known of a regular file; None for anything else, and for what is gone."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Backup(path.name, label, found.st_size, found.st_mtime, found.st_ino)


def is_there(path: Path) -> bool:
    """True where anything has that name, a link that leads nowhere, too."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
