"""The spool: where batches wait on disk while the database is away, and from where they come back.

Each writer has a directory of its own below the common one, `<directory>/<writer_id>/`, held by a lock:

    lock            held as long as the process lives
    00000001.seg    frames; the highest number is appended to, the lowest is read
    damaged/        what could not be read, for a human

A segment is deleted when all of it was acknowledged. How far one was read is known in memory only: after a crash it
is delivered again from its start, and the ledger in the database lets nothing in twice.
"""

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dblog.batch import Batch
from dblog.columns import LOG_COLUMNS
from dblog.sinks import frames
from dblog.sinks.backlog import Backlog, Trouble
from dblog.sinks.lock import DirectoryLock
from dblog.sinks.segments import Figures, Segment

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""Bytes after which a new segment is begun: disk space comes back in pieces of this size."""
MAX_BYTES: Final = 1024 * 1024 * 1024
"""Bytes that one writer's segments may take: about 2.5 million ordinary records."""

_WRITER_ID: Final = re.compile(r"[0-9a-f]{32}")
_SEGMENT: Final = re.compile(r"[0-9]{8}\.seg")


class SpoolFull(OSError):  # noqa: N818 - reads as what it says
    """The spool has reached its own limit; the disk may have room."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        super().__init__(errno.EDQUOT, f"the spool has reached its limit of {max_bytes} bytes", str(directory))


class Spool:
    """Takes batches, gives them back in order, and takes over what dead writers left.

    Nothing is made on disk before the first batch. Not thread-safe but for `figures()`: one thread owns it at a time.

    Args:
        directory: The directory that the writers share; made with its parents if it is missing.
        writer_id: The writer's UUID, 32 hexadecimal digits.
        target: Which database, schema and tables the rows are for, without secrets; only what was written for the
            same target is adopted.
        report: Told about damage and other trouble.
        max_bytes: Bytes that the segments may take together.
        segment_bytes: Bytes after which a new segment is begun.
        fsync: Bring every batch to the disk before `append` returns. Without it a crash of the process costs
            nothing, but one of the machine can cost what the kernel had not written yet.

    Raises:
        ValueError: The writer's UUID is none.
    """

    def __init__(
        self,
        directory: Path,
        *,
        writer_id: str,
        target: str,
        report: Callable[[Trouble], None],
        max_bytes: int = MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        fsync: bool = True,
    ) -> None:
        if not _WRITER_ID.fullmatch(writer_id):
            raise ValueError(f"writer_id {writer_id!r} is not 32 lower-case hexadecimal digits")
        self._directory = directory
        self._home = directory / writer_id
        self._header = frames.make_header(target, [column.name for column in LOG_COLUMNS])
        self._report = report
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._lock = DirectoryLock(self._home)
        self._backlog = Backlog(self._home / "damaged", report)
        self._number = 0

    def append(self, batch: Batch) -> None:
        """Store `batch`, whole or not at all.

        After a failure the next call starts afresh: with a new segment, and with a new directory if it was deleted.

        Raises:
            SpoolFull: `max_bytes` would be exceeded.
            OSError: The file system does not take it.
        """
        self._hold()
        frame = frames.encode(batch, self._header)
        if self.figures().bytes + len(self._header) + len(frame) > self._max_bytes:
            raise SpoolFull(self._home, self._max_bytes)
        segment = self._backlog.writable()
        if segment is not None:
            segment.append(batch, frame, fsync=self._fsync)
        else:
            segment = Segment.create(self._next_path(), self._header)
            segment.append(batch, frame, fsync=self._fsync)
            self._backlog.add(segment)
        if segment.waiting.bytes >= self._segment_bytes:
            segment.abandon()

    def oldest(self) -> Batch | None:
        """The batch that has waited longest; the same one until it is acknowledged, None when nothing waits.

        Raises:
            OSError: A file could not be opened, though it is there; try again later.
        """
        return self._backlog.oldest()

    def acknowledge(self, batch: Batch) -> None:
        """Let go of `batch`, which `oldest()` gave: somebody else owns it now.

        Raises:
            ValueError: It is not the oldest one.
        """
        self._backlog.acknowledge(batch)

    def adopt(self) -> Figures:
        """Take over what one dead writer left, and remove its directory; call again for the next one.

        A writer is dead when its lock can be had. Segments for another target or with other columns stay where
        they are.

        Returns:
            What was taken over; its frames follow those that wait already. `bytes` is 0 if there was nothing.

        Raises:
            OSError: The common directory could not be read.
        """
        taken: list[Segment] = []
        for home in self._other_homes():
            try:
                self._adopt_from(home, taken)
            except PermissionError:  # another user's
                continue
            except OSError as error:
                self._report(Trouble(home, f"could not be adopted: {error.strerror}", {}))
            if any(segment.waiting.bytes for segment in taken):
                break
        return sum((segment.waiting for segment in taken), Figures())

    def figures(self) -> Figures:
        """What waits; may be called from any thread."""
        return self._backlog.figures()

    def close(self) -> None:
        """Let go of everything; remove the writer's directory if nothing waits, else leave it to whoever adopts it.

        Raises:
            OSError: The directory could not be removed.
        """
        done = len(self._backlog) == 0
        self._backlog.abandon()
        self._lock.release(remove=done)

    def abandon(self) -> None:
        """Close the descriptors that a forked child inherited, and leave files and lock to the parent."""
        self._backlog.abandon()
        self._lock.abandon()

    def _hold(self) -> None:
        """Have the directory and its lock; whoever took them away may have taken segments, too."""
        if not self._lock.is_held():
            self._lock.acquire()
            self._number = max(self._number, *(int(path.stem) for path in _segment_paths(self._home)), 0)
            self._backlog.drop_deleted()

    def _next_path(self) -> Path:
        self._number += 1
        return self._home / f"{self._number:08}.seg"

    def _other_homes(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        homes = (path for path in self._directory.iterdir() if _WRITER_ID.fullmatch(path.name) and path.is_dir())
        return sorted(path for path in homes if path != self._home)

    def _adopt_from(self, home: Path, taken: list[Segment]) -> None:
        lock = DirectoryLock(home)
        if not lock.try_acquire():
            return
        try:
            for path in _segment_paths(home):
                segment = self._find(path)
                if segment is not None:
                    self._hold()
                    segment.move(self._next_path())
                    segment.adopted = True
                    self._backlog.add(segment)
                    taken.append(segment)
        finally:
            lock.release(remove=True)

    def _find(self, path: Path) -> Segment | None:
        try:
            return Segment.find(path, self._header)
        except OSError as error:
            self._report(Trouble(path, f"could not be read: {error.strerror}", {}))
            return None


def _segment_paths(home: Path) -> list[Path]:
    return sorted(path for path in home.iterdir() if _SEGMENT.fullmatch(path.name))
