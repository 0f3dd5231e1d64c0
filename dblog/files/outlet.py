"""Where lines go: into the live file, which is rotated on the way, or to the fallback stream."""

import errno
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, perf_counter
from typing import Final
from weakref import finalize

from dblog import disk
from dblog.files.archive import Archive
from dblog.files.encoding import LineEncoding
from dblog.files.fulldisk.fallback import TextStream
from dblog.files.fulldisk.notify import StateChange
from dblog.files.fulldisk.standby import Standby
from dblog.files.livefile import LiveFile
from dblog.files.metrics import Counts
from dblog.files.settings import FileSettings
from dblog.files.sharedlock import FilesLock, SharedLock
from dblog.files.turn import Turn
from dblog.selflog import Announcer

SYNC_INTERVAL: Final = 1.0
"""Seconds between two syncs with `fsync="interval"`."""

_PASSING: Final = frozenset(
    {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EBUSY, errno.ENXIO}
)
"""What may keep a file from being opened for a while, besides a full disk; `ENXIO` is a pipe that nobody reads yet.
All else is a mistake of the settings."""


class Outlet:
    """Puts blocks of lines where they belong; used by one thread at a time, the one with the writer's lock.

    Args:
        settings: The writer's settings.
        encoding: How the file is encoded.
        announcer: Tells the operator.
        turn: Keeps everybody else from the outlet, for other threads that have to do with the files.
        fallback: The fallback stream, where it is an object; else the settings name it.
        on_state_change: Told when the file cannot be written any more, and when it can be again.

    Attributes:
        live: The live file.
        archive: Rotates it.
        standby: What takes its place while it cannot be written.
        counts: What became of the lines.
        placed: Lines of a `put` that have found their place so far.
        unsynced: True while something is to be brought to the disk that `put` left to `sync`.
        rotates: False where somebody else decides when to rotate.
    """

    def __init__(
        self,
        settings: FileSettings,
        encoding: LineEncoding,
        announcer: Announcer,
        turn: Turn,
        *,
        fallback: TextStream | None,
        on_state_change: Callable[[StateChange], object] | None,
    ) -> None:
        path = Path(settings.filename).absolute()
        grows = not settings.max_bytes and settings.when == "NEVER"  # else, as in the standard library, `w` is `a`
        self.counts = Counts()
        self.placed = 0
        self.unsynced = False
        self.rotates = True
        self.live = LiveFile(
            path,
            truncate=settings.mode == "w" and grows,
            file_mode=settings.file_mode,
            dir_mode=settings.dir_mode,
            mark=encoding.mark,
            newline=encoding.newline,
        )
        self._shared = SharedLock(path, settings.file_mode, settings.dir_mode) if settings.multi_process else None
        files_lock = FilesLock(turn, self._shared)
        self.archive = Archive(settings, self.live, self.counts, announcer, files_lock, self._shared, self._sync_now)
        self._rotation = self.archive.rotation
        self.standby = Standby(
            settings,
            self.live,
            self._rotation,
            encoding,
            files_lock,
            self.archive.open_anew,
            announcer,
            fallback=fallback,
            on_state_change=on_state_change,
        )
        self._announcer = announcer
        self._limit = self._rotation.keeper.limits.max_bytes
        self._fsync = settings.fsync
        for close in (self.live.close, *([self._shared.close] if self._shared else [])):
            finalize(self, close).atexit = False  # for a handler that is dropped without being closed
        self._synced = 0.0

    def open_or_degrade(self) -> None:
        """Open the live file; a disk that is full, or fails, is dealt with as if a line had been written.

        Raises:
            OSError: It cannot be opened for another reason.
        """
        try:
            self.archive.open_live()
        except OSError as error:
            if not disk.is_full(error) and error.errno not in _PASSING:
                raise
            self._fail(error)

    def diverts(self, line: bytes) -> bool:
        """Give a line to the fallback stream where the file is degraded; False where it is to be `put`.

        To be called without the turn, which a clean-up of a large file may have for a while.
        """
        if not self.standby.takes_all():
            return False
        self.standby.print((line,))
        return True

    def put(self, lines: Sequence[bytes]) -> None:
        """Write lines, or give them to the fallback stream where that cannot be; never raises an OSError.

        The caller has set `placed` to 0.
        """
        if self.standby.takes_all():
            self._divert(lines)
            return
        self.standby.trying()
        try:
            if self._shared is None:
                self.archive.be_current()
                self._store(lines)
            else:
                with self._shared:
                    self.archive.be_current()
                    self.live.measure()
                    self._rotation.catch_up(self.live.size + sum(map(len, lines)), time.time())
                    self._store(lines)
        except OSError as error:
            self._fail(error)
            self._divert(lines)
        else:
            self.standby.wrote()

    def attempt(self, action: Callable[[], bool]) -> bool:
        """Do something else with the files that may fail like a write; False where it did."""
        try:
            return action()
        except OSError as error:
            self._fail(error)
            return False

    def sync(self) -> bool:
        """Bring what was written to the disk, once a second; False where that second is not over."""
        if self.unsynced:
            now = monotonic()
            if now - self._synced < SYNC_INTERVAL:
                return False
            self._synced = now
            self._sync_now()
        return True

    def close(self) -> None:
        """Close the files; the next line opens them again."""
        self._sync_now()
        self.archive.close()
        if self._shared is not None:
            self._shared.close()

    def end(self, timeout: float) -> None:
        """End the threads, in about `timeout` seconds; to be called without the lock, which they may wait for."""
        deadline = monotonic() + timeout
        self.archive.end(timeout)
        self.standby.end(max(0.0, deadline - monotonic()))

    def restart_after_fork(self) -> None:
        """Begin anew in a child, which shares the open file and nothing else."""
        self.counts = Counts()
        self.archive.restart_after_fork(self.counts)
        self.unsynced = False
        if self._shared is not None:
            self._shared.close()
        if self.live.is_open:
            self.live.measure()
        self.standby.restart_after_fork()

    def _store(self, lines: Sequence[bytes]) -> None:
        live, rotation, now = self.live, self._rotation, time.time()
        total = len(live.lead()) + (sum(map(len, lines)) if len(lines) > 1 else len(lines[0]))
        fits = self._limit is None or live.size + total < self._limit
        if not self.rotates or (fits and not rotation.due(live.size, total, now)):
            self._append(lines, total)
            return
        while self.placed < len(lines):
            if live.is_regular and rotation.due(live.size, len(live.lead()) + len(lines[self.placed]), now):
                self.archive.put_away(now)
            end, total = rotation.keeper.limits.fitting(lines, self.placed, live.size + len(live.lead()))
            self._append(lines[self.placed : end], len(live.lead()) + total)

    def _append(self, lines: Sequence[bytes], total: int) -> None:
        live = self.live
        if live.is_regular and not self._rotation.keeper.room_for(live.size, total):
            self._turn_away(lines)
            return
        began = perf_counter()
        live.stored = live.added = 0
        try:
            live.write(lines)
        finally:
            self.placed += live.stored
            self.counts.wrote(live.stored, live.added, perf_counter() - began)
        if self._fsync == "always":
            live.sync()
        elif self._fsync == "interval":
            self.unsynced = True

    def _turn_away(self, lines: Sequence[bytes]) -> None:
        """Give lines to the fallback stream that the total does not admit; the disk is well, others may be written."""
        taken = f"it takes {self.live.size:,} bytes, its rotated files {self._rotation.backups.total_bytes:,}"
        text = f"{self.live.path}: max_total_bytes leaves no room for {len(lines)} lines: {taken}"
        self._announcer.announce("total exceeded", text)
        self.standby.state.refused()
        self.counts.refused += len(lines)
        self.placed += len(lines)
        self.standby.print(lines)

    def _divert(self, lines: Sequence[bytes]) -> None:
        rest = lines[self.placed :]
        self.placed = len(lines)
        self.standby.print(rest)

    def _fail(self, error: OSError) -> None:
        self.counts.write_errors += 1
        self.archive.close_live()  # a deleted file that stays open would keep its room
        self.standby.failed(error)

    def _sync_now(self) -> None:
        """Bring what was written to the disk, where that is still to be done."""
        if not self.unsynced:
            return
        self.unsynced = False
        if self.live.is_open:
            try:
                self.live.sync()
            except OSError as error:
                self._fail(error)
