"""The end of the spool that is written: which segment a batch goes into, and when it is brought to the disk."""

from collections.abc import Callable
from pathlib import Path

from dblog.batch import Batch
from dblog.sinks.backlog import Backlog
from dblog.sinks.frames import Header
from dblog.sinks.segments import Fsync, Segment


class Tail:
    """Appends to the last segment of a backlog, or to a new one where that is full, old or broken.

    Args:
        backlog: The segments.
        header: The header of new ones.
        segment_bytes: Bytes after which a new segment is begun.
        segment_seconds: Seconds after which a new segment is begun.
        fsync: When what was appended is brought to the disk.
        fsync_interval: Seconds between two fsyncs with `interval`.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        backlog: Backlog,
        header: Header,
        segment_bytes: int,
        segment_seconds: float,
        fsync: Fsync,
        fsync_interval: float,
        clock: Callable[[], float],
    ) -> None:
        self._backlog = backlog
        self._header = header
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._fsync: Fsync = fsync
        self._fsync_interval = fsync_interval
        self._clock = clock
        self._synced = clock()

    def append(self, batch: Batch, frame: bytes, next_path: Callable[[], Path]) -> None:
        """Append the frame of `batch`, whole or not at all.

        Raises:
            OSError: The file system does not take it.
        """
        now = self._clock()
        segment = self._backlog.writable()
        if segment is not None and now - segment.begun >= self._segment_seconds:
            segment.seal()
            segment = None
        if segment is not None:
            segment.append(batch, frame, self._fsync)
        else:
            segment = Segment.create(next_path(), self._header, now)
            segment.append(batch, frame, self._fsync)
            self._backlog.add(segment)
        if segment.waiting.bytes >= self._segment_bytes:
            segment.seal()

    def sync(self) -> None:
        """Bring to the disk what is owed, once the interval is over."""
        now = self._clock()
        if now - self._synced >= self._fsync_interval:
            self._synced = now
            self._backlog.sync()
