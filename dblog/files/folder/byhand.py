"""Rotation and clean-up from outside, while an application may be writing.

A live handler notices that its file was renamed and opens a new one; what it writes until then is in the renamed file.
Where several processes share a log, each step holds their lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dblog import defaults
from dblog.durable import sync_directory
from dblog.files.folder.survey import Log, LogFile
from dblog.files.rotated.backups import Backups
from dblog.files.rotated.bounds import Bounds, expired, surplus
from dblog.files.rotated.copying import copy_and_truncate
from dblog.files.rotated.names import FileNames
from dblog.files.sharedlock import SharedLock

if TYPE_CHECKING:
    from dblog.files.settings import Naming

STALE: Final = 3600.0
"""Seconds after which nobody is writing an unfinished file any more."""


def rotate(log: Log, wall: datetime, *, copy: bool = False) -> Path | None:
    """Give the live file the name of a rotated one; None where it is missing or empty.

    Args:
        log: The log; its files tell how rotated ones are named.
        wall: The time that a time-stamped name says, without a zone.
        copy: Copy the file and empty it, for programs that do not notice a rename. What they write between the copy
            and its end is lost.

    Raises:
        OSError: It could not be done; the live file is as it was.
    """
    backups = Backups(FileNames(log.live, _naming(log)))
    with _alone(log.live):
        if not log.live.is_file() or not log.live.stat().st_size:
            return None
        backups.scan(wall)
        target = backups.make_way(wall)
        if copy:
            copy_and_truncate(backups.names, target)
        else:
            log.live.rename(target)
            sync_directory(target.parent)
        return target


def clean(log: Log, bounds: Bounds, wall: datetime, now: float, *, dry_run: bool) -> list[LogFile]:
    """Delete what bounds do not allow, the oldest first, and unfinished files that nobody writes any more.

    The live file is never deleted.

    Args:
        log: The log.
        bounds: What may be kept.
        wall: What the clock on the wall shows, without a zone.
        now: Seconds since 1970.
        dry_run: Only find out what would go.

    Returns:
        The files that went, or would go.

    Raises:
        OSError: Something could not be deleted.
    """
    backups = Backups(FileNames(log.live, _naming(log)))
    files = {file.path.name: file for file in log.files}
    with _alone(log.live):
        backups.scan(wall)
        gone = [file for file in log.of("unfinished") if now - file.modified > STALE]
        taken = sum(file.bytes for file in log.of("live", "unfinished") if file not in gone) + backups.total_bytes
        victims = [*surplus(backups, len(backups), taken, now, bounds), *expired(backups, now, bounds)]
        gone += [files[backup.name] for backup in dict.fromkeys(victims) if backup.name in files]
        for file in gone if not dry_run else ():
            file.path.unlink(missing_ok=True)
    return gone


def _naming(log: Log) -> "Naming":
    """How the youngest rotated file is named."""
    names = FileNames(log.live, "index")
    labels = (names.recognise(file.path.name) for file in log.of("rotated", "gzip", "zstd"))
    return next((label.naming for label in labels if label is not None), "index")


@contextmanager
def _alone(live: Path) -> Iterator[None]:
    """Keep the processes out that share a log; one that a single process writes has no such lock."""
    lock = SharedLock(live, defaults.FILE_MODE, defaults.DIR_MODE)
    if not lock.path.exists():
        yield
        return
    try:
        with lock:
            yield
    finally:
        lock.close()
