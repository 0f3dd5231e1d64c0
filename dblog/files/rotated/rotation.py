"""Rotating the live file: when it is due, how it gets out of the way, and what happens where it cannot.

Every step leaves each line in exactly one file, whatever stops the process after it: files are renamed one after the
other, the oldest first, and the live one last. Where it must not be renamed it is copied, see
`dblog.files.rotated.copying`.
"""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dblog.files.livefile import LiveFile
from dblog.files.rotated import copying
from dblog.files.rotated.alert import NAME, Alert
from dblog.files.rotated.backup import Backup
from dblog.files.rotated.backups import Backups
from dblog.files.rotated.bounds import Bounds, surplus
from dblog.files.rotated.foldersync import FolderSync
from dblog.files.rotated.keeper import Keeper
from dblog.files.rotated.limits import Limits
from dblog.files.rotated.moving import Mover, Rotator
from dblog.files.rotated.names import DATES, DAY, FileNames
from dblog.files.rotated.schedule import Schedule
from dblog.files.rotated.unfinished import remove_abandoned
from dblog.selflog import Announcer

if TYPE_CHECKING:
    from dblog.files.settings import FileSettings

Namer = Callable[[str], str]


class Rotation:
    """The rotated files of one live file; whoever calls holds the writer's lock, and the one between processes.

    Args:
        path: The live file.
        settings: What is due, kept and tried how often.
        announcer: Says what an operator should know.
        namer: The standard library's hook: takes the usual path of a rotated file and gives the one that is used.
        rotator: Its other hook: takes the live path and the one of the rotated file, and does the rest.
        sleep: Waits between two tries.

    Attributes:
        backups: What was rotated.
        keeper: Deletes what is too many, too old or too much; to be asked for room before a write.
        due_at: When the file is due by the clock, in seconds since 1970; infinity for never.
        rotation_count: Rotations so far.
        failure_count: Rotations that could not be done.
    """

    def __init__(
        self,
        path: Path,
        settings: "FileSettings",
        announcer: Announcer,
        *,
        namer: Namer | None = None,
        rotator: Rotator | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._settings = settings
        self._announcer = announcer
        self._schedule = Schedule(settings.when, settings.interval, utc=settings.utc, at_time=settings.at_time)
        self._alert = Alert(Path(settings.alert_path) if settings.alert_path else path.with_name(NAME), path)
        self._mover = Mover(path, settings, rotator, sleep)
        self.backups = Backups(self._names(namer))
        self.keeper = Keeper(self.backups, Limits(settings), announcer)
        self.due_at = math.inf
        self.rotation_count = self.failure_count = 0
        self._stale = True
        self._outdated = False
        self._names_on_disk = FolderSync(announcer)
        self._seen = self._next_try = -math.inf

    def start(self, now: float) -> None:
        """Look at the folder and finish what a crash has interrupted; before the first write, in a forked child, too.

        Args:
            now: Seconds since 1970, here and elsewhere.
        """
        if self._tries_to_look(now):
            remove_abandoned(self.backups.leftovers)
        try:
            begun = min(self._path.stat().st_mtime, now)
        except OSError:
            begun = now
        self.due_at = self._schedule.next_after(begun)

    def use(self, namer: Namer | None, rotator: Rotator | None) -> None:
        """Take other hooks from now on."""
        self.backups.names = self._names(namer)
        self._mover.rotator = rotator
        self._stale = True

    def live_changed(self, now: float) -> None:
        """Somebody else has rotated: the path leads to another file."""
        self._stale = self._outdated = True
        if now >= self.due_at:
            self.due_at = self._schedule.next_after(now)

    def live_opened(self) -> None:
        """The live file was closed for a while, or never open: somebody else may have rotated meanwhile."""
        self._outdated = True

    def catch_up(self, size: int, now: float) -> None:
        """Look at the folder where another process may have changed it and that matters for the room that there is.

        Args:
            size: Bytes of the live file, with what is about to come.
            now: Seconds since 1970.
        """
        if self._outdated or not self.keeper.fits(size):
            self._tries_to_look(now)

    def due(self, size: int, extra: int, now: float) -> bool:
        """True where the live file has to be rotated before it is written to.

        An empty file is not due, and after a rotation that failed none is for a while.

        Args:
            size: Bytes of the live file.
            extra: Bytes that are about to be written: a line, or several that fit together into a file.
            now: Seconds since 1970.
        """
        if now < self._seen:
            self._set_back(now)
        self._seen = now
        if not size:
            if now >= self.due_at:
                self.due_at = self._schedule.next_after(now)
            return False
        max_bytes = self.keeper.limits.max_bytes
        return ((max_bytes is not None and size + extra >= max_bytes) or now >= self.due_at) and now >= self._next_try

    def rotate(self, live: LiveFile, now: float) -> bool:
        """Put the live file away, and delete what is too many, too old or too much then.

        A failure is announced, put into the alert file, and not tried again for `recovery_check_interval_sec`.

        Returns:
            True where the file was put away. False where it stays, or where its path leads to another file by now. What
            is open is the file that was put away then, or any other but the one of that path: it is to be closed.
        """
        if not live.is_regular:
            return False
        if not live.is_current():
            self.live_changed(now)
            return False
        self.keeper.limits.saw(live.size)
        try:
            self._put_away(now)
        except Exception as error:  # noqa: BLE001 - a hook may raise anything, and logging goes on
            self._fail(error, now)
            return False
        self.rotation_count += 1
        if now >= self.due_at:
            self.due_at = self._schedule.next_after(now)
        self.keeper.trim(0, now)
        self._settle(now)
        return True

    def clean(self, now: float) -> list[Backup]:
        """Look at the folder and delete what is too many, too old or too much; returns what was deleted.

        Raises:
            OSError: The folder could not be read.
        """
        self._look(now)
        try:
            live_bytes = self._path.stat().st_size
        except FileNotFoundError:
            live_bytes = 0
        self.keeper.limits.saw(live_bytes)
        return self.keeper.expire(now) + self.keeper.trim(live_bytes, now)

    def surplus(self, now: float) -> list[Path]:
        """The rotated files beyond the number that is kept, the oldest first, as the folder has them; only looks.

        Raises:
            OSError: The folder could not be read.
        """
        found = Backups(self.backups.names)
        found.scan(self._schedule.wall(now))
        bounds = Bounds(count=self._settings.backup_count or None)
        return [found.path(backup) for backup in surplus(found, len(found), 0, now, bounds)]

    def close(self) -> None:
        """Bring the names to the disk that were not brought there yet."""
        self._names_on_disk.settle()

    def _names(self, namer: Namer | None) -> FileNames:
        settings = self._settings
        return FileNames(self._path, settings.naming, date_format=DATES.get(settings.when, DAY), namer=namer)

    def _tries_to_look(self, now: float) -> bool:
        try:
            self._look(now)
        except Exception as error:  # noqa: BLE001 - a hook may raise anything; the next rotation looks again
            self._announcer.announce("rotation", f"the rotated files of {self._path} cannot be looked at: {error}")
            return False
        return True

    def _look(self, now: float) -> None:
        self.backups.scan(self._schedule.wall(now))
        if copied := copying.finish(self.backups.names, lambda: self._make_way(now)):
            self.backups.add(copied)
        self.keeper.limits.saw(max((backup.size for backup in self.backups), default=0))
        self._outdated = False
        self._stale = self._settings.multi_process

    def _make_way(self, now: float) -> Path:
        """Name a file for the time of its rotation; with dates, as in the standard library, for its period's begin."""
        named = now
        if self._settings.naming == "date" and self.due_at < math.inf:
            named = self._schedule.begin_of(self.due_at)
        return self.backups.make_way(self._schedule.wall(now), self._schedule.wall(named))

    def _put_away(self, now: float) -> None:
        if self._stale:
            self._mover.operation = "look at the folder"
            self._look(now)
        self._stale = True  # until the end: what a failure leaves behind has to be looked at
        self._mover.put_away(self.backups, lambda: self._make_way(now), self.keeper.make_room)
        self._stale = self._settings.multi_process or self._mover.rotator is not None
        if self._mover.rotator is not None and (newest := next(reversed(self.backups), None)):
            self.keeper.limits.saw(newest.size)  # a hook may make more of a file than there was

    def _fail(self, error: Exception, now: float) -> None:
        pause = self._settings.recovery_check_interval_sec
        self.failure_count += 1
        self._next_try = now + pause
        operation = self._mover.operation
        self._announcer.announce("rotation", f"{self._path} cannot be rotated: {operation}: {error}; it grows")
        with suppress(OSError):  # a disk that is full, or may not be written, has been announced
            self._alert.write(error, operation, pause, now)

    def _settle(self, now: float) -> None:
        with suppress(OSError):  # it stays for an operator, who is told in it what to do
            self._alert.remove()
        self._announcer.forget("rotation")
        self._names_on_disk.changed(self.backups.names.folder, now)

    def _set_back(self, now: float) -> None:
        """The clock was set back: what was to come is not put off by that."""
        self.due_at = min(self.due_at, self._schedule.next_after(now))
        self._next_try = min(self._next_try, now + self._settings.recovery_check_interval_sec)
