"""Opening files that stay open: away from the standard streams, and with the permissions that were asked for."""

import fcntl
import os
from pathlib import Path
from typing import Final

from dblog.selflog import STDERR

_LINKS: Final = 40
"""Links that Linux follows in one path."""


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o600) -> int:
    """Open a file that programs which this one starts do not get.

    In a daemon that has closed its standard streams, the descriptor of a log file could else be the one of stderr, and
    whatever is said there would go into the file.

    Raises:
        OSError: It could not be opened.
    """
    fd = os.open(path, flags | os.O_CLOEXEC, mode)
    if fd > STDERR:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STDERR + 1)
    finally:
        os.close(fd)


def open_or_create(path: Path, flags: int, file_mode: int, dir_mode: int) -> int:
    """Open a file; make it and the directories above it where they are missing.

    Args:
        path: The file.
        flags: Of `os.open`.
        file_mode: Permissions of a new file, whatever the umask.
        dir_mode: Permissions of new directories.

    Raises:
        OSError: It could not be opened.
    """
    try:
        return _create_or_open(path, flags, file_mode)
    except FileNotFoundError:
        _make_directories(path.parent, dir_mode)
        return _create_or_open(path, flags, file_mode)


def is_among_devices(path: Path) -> bool:
    """True for what lies below `/dev` or `/proc`, or is a link into there, as `/dev/stdout` is.

    The descriptor of a program may be a regular file, but one that somebody else owns and looks after. `/dev/shm` is a
    file system like others.
    """
    for _ in range(_LINKS):
        place = path.parts[:3]
        if place[:2] == ("/", "proc") or (place[:2] == ("/", "dev") and place[2:] != ("shm",)):
            return True
        try:
            path = Path(os.path.normpath(path.parent / path.readlink()))
        except OSError:  # no link, or one that nobody can follow
            return False
    return False


def _create_or_open(path: Path, flags: int, mode: int) -> int:
    try:
        fd = open_file(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return open_file(path, flags | os.O_CREAT, mode)
    os.fchmod(fd, mode)
    return fd


def _make_directories(folder: Path, mode: int) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=mode, exist_ok=True)
        each.chmod(mode)
