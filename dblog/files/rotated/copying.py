"""Rotating a file that cannot be renamed: it is copied, and emptied once the copy is on the disk.

The copy has a hidden name of its own for each state, so that a crash between any two steps can be told from what is
there: `copying` is worthless, and `copied` is complete. The live file is emptied only when a complete copy has reached
the disk; if its content is still there at the next start, the copy goes, else the copy is all there is and gets its
name. So no line is lost or doubled. What remains: lines that a program other than this one appends between copy and
truncation are lost, and a file of which every line is the same can be taken for one that was not emptied yet.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from dblog.durable import sync_directory, write_all
from dblog.files.opening import open_file
from dblog.files.rotated.names import FileNames

CHUNK: Final = 256 * 1024


def keep_attributes(source: os.stat_result, fd: int) -> None:
    """Give an open file the mode, owner and times of another one."""
    with suppress(PermissionError):  # an owner can only be given away by root
        os.fchown(fd, source.st_uid, source.st_gid)
    os.fchmod(fd, source.st_mode & 0o7777)
    os.utime(fd, ns=(source.st_atime_ns, source.st_mtime_ns))


def copy_and_truncate(names: FileNames, target: Path) -> None:
    """Copy the live file to `target`, which is free, and empty it.

    Raises:
        OSError: It could not be done. What is there then, another call or `finish` takes up.
    """
    copied = names.unfinished("copied")
    if not copied.exists() or _begins_with(names.live, copied):  # else a former try has emptied the live file
        _copy(names.live, names.unfinished("copying"), copied)
        _truncate(names.live)
    copied.rename(target)
    sync_directory(target.parent)


def finish(names: FileNames, make_way: Callable[[], Path]) -> Path | None:
    """Finish what a crash has interrupted; returns the path of a copy that has got its place.

    Args:
        names: The live file's.
        make_way: Gives the free path for a copy.

    Raises:
        OSError: It could not be done.
    """
    names.unfinished("copying").unlink(missing_ok=True)
    copied = names.unfinished("copied")
    if not copied.exists():
        return None
    if _begins_with(names.live, copied):
        copied.unlink()
        return None
    target = make_way()
    copied.rename(target)
    sync_directory(target.parent)
    return target


def _copy(live: Path, copying: Path, copied: Path) -> None:
    try:
        with live.open("rb", buffering=0) as source:
            fd = open_file(copying, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW)
            try:
                while chunk := source.read(CHUNK):
                    write_all(fd, chunk)
                keep_attributes(os.fstat(source.fileno()), fd)
                os.fsync(fd)
            finally:
                os.close(fd)
        copying.rename(copied)
        sync_directory(copied.parent)
    except OSError:
        for path in (copying, copied):
            path.unlink(missing_ok=True)
        raise


def _truncate(live: Path) -> None:
    """Empty a file, and have it empty on the disk before the copy gets a name that is read."""
    fd = os.open(live, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def _begins_with(live: Path, copied: Path) -> bool:
    """True where the live file has what the copy has: it was not emptied."""
    with copied.open("rb") as copy:
        try:
            with live.open("rb") as file:
                while chunk := copy.read(CHUNK):
                    if file.read(len(chunk)) != chunk:
                        return False
        except FileNotFoundError:
            return False
    return True
