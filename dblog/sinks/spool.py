"""The spool: where batches wait on disk while the database is away, and from where they come back.

Each writer has a directory of its own below the common one, `<directory>/<writer_id>/`, held by a lock:

    lock                held as long as the process lives
    status.json         how the writer is, for whoever looks
    00000001.seg        frames; the highest number is appended to, the lowest is read
    refused-KEY.seg     refused rows of a batch whose COMMIT is not known yet

All writers share `rejected/` (refused rows, for a human) and `damaged/` (what could not be read).

A segment is deleted when all of it was acknowledged. How far one was read is known in memory only: after a crash it
is delivered again from its start, and the ledger in the database lets nothing in twice.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dblog.batch import Batch, BatchKey, Rejected
from dblog.columns import COLUMN_NAMES
from dblog.defaults import FSYNC_INTERVAL, SEGMENT_BYTES, SEGMENT_SECONDS, SPOOL_MAX_BYTES, SPOOL_MIN_FREE
from dblog.sinks import frames
from dblog.sinks.adoption import WRITER_ID, Adopted, Adoption, Heir
from dblog.sinks.aside import Aside, file_name
from dblog.sinks.backlog import Backlog
from dblog.sinks.damaged import DamagedFiles
from dblog.sinks.home import Home
from dblog.sinks.room import Room
from dblog.sinks.segments import Figures, Fsync, Segment, Trouble
from dblog.sinks.tail import Tail


class Spool:
    """Takes batches, gives them back in order, and takes over what dead writers left.

    One thread owns it at a time, but for `figures()`, `share_used()` and `room_left()`.

    Args:
        directory: The directory that the writers share; made with its parents if it is missing.
        writer_id: The writer's UUID, 32 hexadecimal digits.
        target: Which database, schema and tables the rows are for, without secrets; only what was written for the
            same target is adopted.
        report: Told about damage and other trouble.
        max_bytes: Bytes that the segments may take together.
        min_free: Bytes to leave free on the file system, or a twentieth of the file system where that is less; 0
            leaves nothing.
        segment_bytes: Bytes after which a new segment is begun.
        segment_seconds: Seconds after which a new segment is begun.
        fsync: When a batch is brought to the disk: `always` before `append` returns, `interval` by `sync`, `never`
            when the kernel does. Only a crash of the machine can cost what is not on the disk yet.
        fsync_interval: Seconds between two fsyncs with `interval`.
        clock: Monotonic seconds.
        today: Gives the current UTC day, `YYYY-MM-DD`.

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
        max_bytes: int = SPOOL_MAX_BYTES,
        min_free: int = SPOOL_MIN_FREE,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
        fsync: Fsync = "interval",
        fsync_interval: float = FSYNC_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], str] = lambda: datetime.now(UTC).date().isoformat(),
    ) -> None:
        if not WRITER_ID.fullmatch(writer_id):
            raise ValueError(f"writer_id {writer_id!r} is not 32 lower-case hexadecimal digits")
        self.directory = directory
        self._home = Home(directory / writer_id, fsync=fsync != "never")
        self._header = frames.make_header(target, COLUMN_NAMES)
        self._room = Room(self._home.path, max_bytes, min_free, clock)
        self._backlog = Backlog(DamagedFiles(directory / "damaged", max_bytes // 10, report), report)
        self._tail = Tail(self._backlog, self._header, segment_bytes, segment_seconds, fsync, fsync_interval, clock)
        self._aside = Aside(self._home.path, directory / "rejected", self._header, today=today, fsync=fsync != "never")
        heir = Heir(self._home.path, self._header, self._aside, self._take, self._backlog.keys, today, report)
        self._adoption = Adoption(directory, heir)

    def open(self) -> None:
        """Take the writer's directory and its lock, or make sure that they are still there.

        Segments that were taken away with them are reported.

        Raises:
            BlockingIOError: Another process holds the directory.
            OSError: It could not be made.
        """
        if self._home.hold():
            self._aside.look()
            self._backlog.drop_deleted()

    def append(self, batch: Batch) -> None:
        """Store `batch`, whole or not at all.

        After a failure the next call starts afresh: with a new segment, and with a new directory if it was deleted.

        Raises:
            SpoolFull: `max_bytes` would be exceeded, or less than `min_free` be left on the disk.
            OSError: The file system does not take it.
        """
        self.open()
        frame = frames.encode(batch, self._header)
        self._room.demand(self.figures().bytes, len(self._header.line) + len(frame))
        self._tail.append(batch, frame, self._home.next_segment)

    def sync(self) -> None:
        """Bring to the disk what was appended, where `fsync` is `interval` and the interval is over.

        A segment where that fails is reported and takes no more.
        """
        self._tail.sync()

    def figures(self) -> Figures:
        """What waits; may be called from any thread."""
        return self._backlog.figures()

    def share_used(self) -> float:
        """The part of `max_bytes` that is used, from 0 to 1; may be called from any thread."""
        return self._room.share(self.figures().bytes)

    def room_left(self) -> int:
        """Bytes that may still be taken, by the limit and by the disk; may be called from any thread."""
        return self._room.left(self.figures().bytes)

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

    def expire(self, batch: Batch, reason: str) -> None:
        """Move `batch`, which `oldest()` gave, to `rejected/` instead of acknowledging it.

        Raises:
            ValueError: It is not the oldest one.
            OSError: It could not be moved; it is still the oldest one.
        """
        self._backlog.check_oldest(batch)
        if batch.rows:
            self.open()
            self._aside.keep_all(batch, reason)
            self._backlog.cancel(batch)
            self._aside.confirm(file_name(batch.key))
        self._backlog.acknowledge(batch)

    def set_aside(self, batch: Batch, refused: Sequence[Rejected]) -> None:
        """Keep rows that PostgreSQL refused, before the rest of `batch` is committed.

        Once more for the same batch replaces what was kept for it; no rows discard that.

        Raises:
            OSError: They could not be written.
        """
        self.open()
        if refused:
            self._aside.keep(batch, refused)
        else:
            self._aside.discard(file_name(batch.key))

    def holds_aside(self, key: BatchKey) -> bool:
        """True where rows of the batch were set aside that are neither confirmed nor discarded."""
        return self._aside.holds(file_name(key))

    def confirm(self, key: BatchKey) -> None:
        """The batch is committed: what was set aside of it moves to `rejected/`, if there is something.

        Raises:
            OSError: It could not be moved; it will be, when the spool is closed or adopted.
        """
        self._aside.confirm(file_name(key))

    def discard(self, key: BatchKey) -> None:
        """The batch was stored without refused rows this time: forget what an earlier try had set aside.

        Raises:
            OSError: It could not be deleted.
        """
        self._aside.discard(file_name(key))

    def take_back(self, path: Path) -> None:
        """Make a file of `rejected/` a segment of this spool, to be delivered behind what waits.

        Where it is so old that the ledger may forget its key, it gets today's birth day first.

        Raises:
            ValueError: It is for another target, or with columns or of a format that are not known.
            OSError: It is not there any more, or could not be moved or rewritten; it stays in `rejected/`.
        """
        self.open()
        segment = self._aside.take_back(path)
        try:
            self._take(segment)
        except OSError:
            self._aside.confirm(path.name)
            raise

    def adopt(self) -> Adopted:
        """Take over what one dead writer left, and remove its directory; call again for the next one.

        A writer is dead when its lock can be had. What was written for another target stays where it is, and so does
        what has another format or unknown columns, which is reported once.

        Raises:
            OSError: The common directory could not be read.
        """
        return self._adoption.adopt()

    def write_status(self, text: bytes) -> None:
        """Replace `status.json`.

        Raises:
            OSError: It could not be written.
        """
        self.open()
        self._home.write_status(text)

    def close(self) -> None:
        """Let go of everything; remove the writer's directory if nothing waits, else leave it to whoever adopts it.

        Raises:
            OSError: The directory could not be removed.
        """
        self._backlog.sync()
        done = len(self._backlog) == 0
        self._backlog.abandon()
        try:
            if done and self._home.is_held():
                self._aside.confirm_all()
        finally:
            self._home.release(remove=done)

    def abandon(self) -> None:
        """Close the descriptors that a forked child inherited, and leave files and lock to the parent."""
        self._backlog.abandon()
        self._home.abandon()

    def _take(self, segment: Segment) -> None:
        self.open()
        segment.move(self._home.next_segment())
        segment.adopted = True
        self._backlog.add(segment)
