"""The journal: every record is in a file before the call that logged it returns.

It lies beside the segments of the spool, in the writer's directory, which the spool makes and holds:

    00000001.journal    in the format of a segment; the highest number is written to

The rows of a batch are written one by one as they come. A footer closes their frame before the batch is tried for the
first time, and from then on it is known under which key it may have been stored. Nothing is read back while the
process lives: what is on its way is in memory, too. A file is deleted when somebody else owns all of its batches, and
`recovery` closes the last frame of a process that was killed.
"""

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dblog.batch import Batch, BatchKey
from dblog.defaults import FSYNC_INTERVAL, JOURNAL_BYTES, SEGMENT_SECONDS
from dblog.durable import sync_directory
from dblog.sinks import frames
from dblog.sinks.frames import Header
from dblog.sinks.journalfile import JournalFile
from dblog.sinks.segments import Fsync

SUFFIX: Final = ".journal"


class Journal:
    """Writes the open frame, closes it, and keeps closed ones until they are settled.

    Any thread may call it, but who writes sees to it that rows and footers come in order.

    Args:
        home: The directory of the writer, named by its UUID; held by the spool.
        header: The header of the spool's segments.
        make_home: Makes the directory and takes its lock, where that is not done yet. Raises OSError.
        fsync: When a file is brought to the disk: `always` before `write` returns, `interval` by `sync`, or `never`.
            A killed process loses nothing with any of them; a crash of the machine does.
        fsync_interval: Seconds between two fsyncs with `interval`.
        max_bytes: Bytes after which a new file is begun.
        max_age: Seconds after which a new file is begun.
        clock: Monotonic seconds.

    Attributes:
        usable: False where the open frame cannot be continued, because its file was deleted or could not be brought
            to the disk, or the journal is closed; the next frame begins with a new file.
        closed: True once no rows are taken any more.
    """

    def __init__(
        self,
        home: Path,
        header: Header,
        *,
        make_home: Callable[[], None],
        fsync: Fsync = "interval",
        fsync_interval: float = FSYNC_INTERVAL,
        max_bytes: int = JOURNAL_BYTES,
        max_age: float = SEGMENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.usable = True
        self.closed = False
        self._home = home
        self._make_home = make_home
        self._header = header
        self._fsync = fsync
        self._fsync_interval = fsync_interval
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.RLock()  # re-entrant: a signal handler may log while its thread settles a batch
        self._files: list[JournalFile] = []
        self._active: JournalFile | None = None
        self._born = 0.0
        self._number = 0
        self._next_fsync = 0.0
        self._unsynced_entry = False

    def write(self, rows: bytes) -> None:
        """Append rows to the open frame, or open one; all of them are in the file or, after a failure, none.

        Args:
            rows: Whole lines; in one frame all have the same writer and batch in front.

        Raises:
            OSError: The file system does not take them.
        """
        with self._lock:
            file = self._active
            if file is None or file.frame == file.end:
                file = self._file_for_frame()
            try:
                file.append(rows)
            except OSError:
                file.worn = True  # so that it can go when it is settled: on a full disk its room is needed
                raise
            if self._fsync == "always":
                self._fsync_rows(file, len(rows))

    def seal(self, batch: Batch) -> None:
        """Close the open frame, whose rows are those of `batch`; where that fails they leave the file.

        Raises:
            OSError: The footer could not be written, or with `always` not be brought to the disk.
        """
        with self._lock:
            file = self._active
            if file is None or file.frame == file.end:
                raise OSError(errno.EBADF, "no frame is open")
            file.close_frame(batch.key.seq, frames.footer(batch, self._header))
            if self._fsync == "always":
                file.fsync()
            if self.closed:
                file.trim()
                file.close()

    def settle(self, key: BatchKey) -> None:
        """Let go of a batch: it is stored, in the spool or printed. One that the journal does not know is ignored."""
        if key.writer_id == self._home.name:
            with self._lock:
                for file in self._files:
                    file.unsettled.discard(key.seq)

    def sync(self) -> None:
        """Delete what is settled, notice what somebody else deleted, and bring to the disk what is due with `interval`.

        Raises:
            OSError: A file could not be deleted, or not be brought to the disk; journaling goes on in a new one.
        """
        with self._lock:
            self._remove_settled()
            active, files = self._active, list(self._files)
            lost = self.usable and active is not None and not active.linked
            if lost:
                self.usable = False
        now = self._clock()
        if self._fsync == "interval" and now >= self._next_fsync:
            self._next_fsync = now + self._fsync_interval
            self._fsync_files(files)
        if lost and active is not None:
            raise FileNotFoundError(errno.ENOENT, "the journal was deleted while written", str(active.path))

    def close(self) -> None:
        """Take no more rows; delete what is settled and leave the rest to whoever adopts the directory.

        A frame that is open can still be closed, and batches can be settled until `close` is called again.

        Raises:
            OSError: A file could not be deleted or brought to the disk.
        """
        with self._lock:
            self.usable = False
            self.closed = True
            if self._active is not None and self._active.frame == self._active.end:
                self._active = None
            self._remove_settled()
            for file in self._files:
                if self._fsync != "never":
                    file.fsync()
                if file is not self._active:
                    file.trim()
                    file.close()

    def abandon(self) -> None:
        """Close the descriptors that a forked child inherited, nothing else."""
        self.closed = True
        self.usable = False
        for file in self._files:
            file.close()

    def _file_for_frame(self) -> JournalFile:
        file, now = self._active, self._clock()
        if self.closed:
            raise OSError(errno.EBADF, "the journal is closed")
        old = file is None or file.worn or file.end >= self._max_bytes or now - self._born >= self._max_age
        if file is None or old or not self.usable:
            file = self._create()
            self._files.append(file)
            self._active, self._born = file, now
            self.usable = True
        return file

    def _create(self) -> JournalFile:
        self._make_home()
        self._number += 1
        file = JournalFile.create(self._home / f"{self._number:08}{SUFFIX}", self._header)
        self._unsynced_entry = True
        if self._fsync == "always":
            self._fsync_home()
        return file

    def _remove_settled(self) -> None:
        for file in [each for each in self._files if each.settled and (each is not self._active or each.worn)]:
            file.path.unlink(missing_ok=True)
            if file is self._active:
                self._active = None
            file.close()
            self._files.remove(file)

    def _fsync_rows(self, file: JournalFile, size: int) -> None:
        try:
            file.fsync()
        except BaseException:
            file.cut_back(file.end - size)
            file.worn = True
            self.usable = False
            raise

    def _fsync_files(self, files: list[JournalFile]) -> None:
        try:
            for file in files:
                file.fsync()
            self._fsync_home()
        except OSError:
            self.usable = False
            raise

    def _fsync_home(self) -> None:
        if self._unsynced_entry:
            sync_directory(self._home)
            self._unsynced_entry = False
