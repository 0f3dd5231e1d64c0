"""Files that are there whole or not at all, whatever stops the process or the machine."""

import os
from pathlib import Path
from typing import Final

UNFINISHED: Final = ".tmp"
"""How the name of a file ends that is being written: nobody reads it, and it goes with its directory."""


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, however little a single call takes.

    Raises:
        OSError: It could not be written, or only a part of it.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def replace(path: Path, data: bytes, *, fsync: bool) -> None:
    """Write `data` to a file beside `path` and rename it, so that `path` is never half of anything.

    Raises:
        OSError: It could not be written; what was at `path` is still there.
    """
    beside = path.with_name(path.name + UNFINISHED)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        write_all(fd, data)
        if fsync:
            os.fsync(fd)
    except OSError:
        beside.unlink(missing_ok=True)  # on a full disk its bytes are needed
        raise
    finally:
        os.close(fd)
    beside.rename(path)
    if fsync:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Bring to the disk which files a directory has.

    Raises:
        OSError: It could not be opened or synced.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
