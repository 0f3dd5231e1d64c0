"""Compressing rotated files in the background.

A file is compressed into a hidden one, which has reached the disk with the mode, owner and times of its source before
it takes its place: one rename and one unlink under the lock of the live file, all that a logging call ever waits for.
The source is known by its inode, since rotations may have renamed it in the meantime. A crash before the rename leaves
the hidden file, which the next start deletes; a crash between rename and unlink leaves both, and the next run deletes
the plain one after it has compared them. What remains: on a file system that does not keep the order of renames and
deletions, which all journaling ones do, a failure of power at that moment can lose the file.
"""

import gzip
import os
import threading
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final

from dblog.durable import sync_directory
from dblog.errors import ConfigurationError
from dblog.files.rotated.backup import Backup, is_there
from dblog.files.rotated.backups import Backups
from dblog.files.rotated.copying import CHUNK
from dblog.files.rotated.keeper import Keeper
from dblog.files.rotated.names import PACKINGS
from dblog.files.rotated.packing import Packing, packing_of
from dblog.files.rotated.unfinished import Unfinished
from dblog.files.threads import Background
from dblog.selflog import Announcer

THREAD: Final = "dblog-files-compression"


class Postponed(Exception):  # noqa: N818 - reads as what it says
    """A compression cannot be done now; it may be later."""


class Compressor:
    """Compresses what was rotated, one file after the other, in a thread that lives while there is anything to do.

    Args:
        backups: The rotated files.
        keeper: Knows how much room there is.
        packing: The format.
        lock: The writer's lock, with the one between processes.
        live_bytes: Tells the bytes of the live file.
        announcer: Says what could not be compressed.

    Attributes:
        compressed_files: Files that were compressed.
        saved_bytes: Bytes that this saved.
    """

    def __init__(
        self,
        backups: Backups,
        keeper: Keeper,
        packing: Packing,
        lock: AbstractContextManager[object],
        live_bytes: Callable[[], int],
        announcer: Announcer,
    ) -> None:
        self.compressed_files = 0
        self.saved_bytes = 0
        backups.unfinished, backups.unfinished_bytes = None, 0  # in a forked child they are the parent's
        self._backups = backups
        self._keeper = keeper
        self._packing = packing
        self._lock = lock
        self._live_bytes = live_bytes
        self._announcer = announcer
        self._skipped: set[tuple[int, float]] = set()
        self._guard = threading.RLock()  # re-entrant: a signal handler may stop what its thread is waking
        self._background = Background(self._run, THREAD, self._guard)
        self._wanted = False
        self._stopping = False

    def wake(self) -> None:
        """Have everything compressed that is not yet, where a thread can be had for it; returns at once."""
        with self._guard:
            self._wanted = not self._stopping
            if self._wanted:
                self._background.start()

    def stop(self, timeout: float | None = None) -> None:
        """Stop between two pieces of a file, which is left as it was; the caller does not hold the writer's lock.

        Args:
            timeout: Seconds to wait for the thread; None for as long as it takes.
        """
        with self._guard:
            self._stopping = True
        self._background.join(timeout)

    def compress_next(self) -> bool:
        """Compress one file, or delete one that was compressed before a crash; False where nothing is left to do.

        Raises:
            OSError: The file could not be read, or its compressed form not be written; all is as it was.
            Postponed: All files together would exceed their total, another process is at it, or `stop` was called; all
                is as it was.
        """
        with self._lock:
            backup = next((each for each in reversed(self._backups) if self._is_wanted(each)), None)
            if backup is None:
                return False
            try:
                source = self._backups.path(backup).open("rb", buffering=0)
            except FileNotFoundError:  # deleted by somebody else; the next look at the folder will tell
                self._skipped.add((backup.inode, backup.mtime))
                return True
            twins = [_packed(self._backups.path(backup), suffix) for suffix in PACKINGS if suffix]
        with source:
            if os.fstat(source.fileno()).st_ino != backup.inode:
                raise Postponed  # another process has rotated; the next rotation here looks at the folder
            twin = next((twin for twin in twins if twin.is_file()), None)
            if not (self._compress(source) if twin is None else self._drop_if_same(source, twin)):
                self._skipped.add((backup.inode, backup.mtime))
        return True

    def _run(self) -> None:
        while self._is_asked():
            try:
                while self.compress_next():
                    pass
            except Postponed:
                continue  # whoever rotates next asks again
            except (OSError, ConfigurationError) as error:
                self._announcer.announce("compression", f"{self._backups.names.live}: not compressed: {error}")

    def _is_asked(self) -> bool:
        with self._guard:
            asked, self._wanted = self._wanted and not self._stopping, False
            if not asked:
                self._background.leave()
            return asked

    def _is_wanted(self, backup: Backup) -> bool:
        return not backup.label.packing and (backup.inode, backup.mtime) not in self._skipped

    def _compress(self, source: BinaryIO) -> bool:
        found = os.fstat(source.fileno())
        path = self._backups.names.unfinished(f"{found.st_ino}{self._packing.suffix}")
        try:
            unfinished = Unfinished(path)
        except BlockingIOError:
            raise Postponed from None
        try:
            with self._lock:
                self._backups.unfinished, self._backups.unfinished_bytes = path, 0
            stream = self._packing.stream()
            while chunk := source.read(CHUNK):
                self._write(unfinished, stream.compress(chunk))
            self._write(unfinished, stream.flush())
            unfinished.complete(found)
            return self._commit(source, found, unfinished)
        finally:
            with self._lock:
                unfinished.close()
                if self._backups.unfinished == path:
                    self._backups.unfinished, self._backups.unfinished_bytes = None, 0

    def _write(self, unfinished: Unfinished, data: bytes) -> None:
        with self._lock:
            fits = self._keeper.fits(self._live_bytes() + len(data)) and unfinished.is_there()
            if self._stopping or not fits:
                raise Postponed
            self._backups.unfinished_bytes += len(data)
        unfinished.write(data)

    def _commit(self, source: BinaryIO, found: os.stat_result, unfinished: Unfinished) -> bool:
        """Put the compressed file in the place of its source; False where that has changed meanwhile, or is taken."""
        with self._lock:
            if not unfinished.is_there():
                raise Postponed
            backup = self._backups.find(found.st_ino)
            if backup is None:
                return True  # deleted: nothing is left to do
            path = self._backups.path(backup)
            target = _packed(path, self._packing.suffix)
            if not _is_still(path, found) or is_there(target):
                return False
            unfinished.path.rename(target)
            path.unlink()
            self._backups.exchange(backup, target)
            self._backups.unfinished, self._backups.unfinished_bytes = None, 0
            self.compressed_files += 1
            self.saved_bytes += found.st_size - target.lstat().st_size
        sync_directory(target.parent)
        return True

    def _drop_if_same(self, source: BinaryIO, twin: Path) -> bool:
        """Delete a plain file of which there is a compressed one, if that has all of it."""
        found, packed = os.fstat(source.fileno()), twin.lstat()
        if not _is_same(source, twin):
            return False
        with self._lock:
            backup = self._backups.find(found.st_ino)
            if backup is None:
                return True
            path = self._backups.path(backup)
            if not (_is_still(path, found) and _is_still(_packed(path, twin.suffix), packed)):
                return False
            self._backups.remove(backup)
        return True


def _packed(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _is_still(path: Path, found: os.stat_result) -> bool:
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(now, found) and (now.st_size, now.st_mtime_ns) == (found.st_size, found.st_mtime_ns)


def _is_same(source: BinaryIO, twin: Path) -> bool:
    """True where a compressed file has what the plain one has."""
    try:
        with packing_of(twin).open(twin) as file:
            while chunk := file.read(CHUNK):
                if source.read(len(chunk)) != chunk:
                    return False
    except (EOFError, ValueError, zlib.error, gzip.BadGzipFile):
        return False  # it is broken, or no compressed file at all
    return not source.read(1)
