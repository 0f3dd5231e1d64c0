"""The segments that wait, and the way through them: frame by frame, past damage, deleted when they are done."""

from collections import deque
from collections.abc import Callable, Iterator

from dblog.batch import Batch, BatchKey
from dblog.sinks.damaged import DamagedFiles
from dblog.sinks.frames import Damage
from dblog.sinks.segments import Figures, Segment, Trouble


class Backlog:
    """The segments in the order in which they are read, at most one frame of them in memory.

    Args:
        damaged: Keeps what cannot be read.
        report: Told about damage and other trouble, once for each segment, when it is done with.
    """

    def __init__(self, damaged: DamagedFiles, report: Callable[[Trouble], None]) -> None:
        self._damaged = damaged
        self._report = report
        self._segments: deque[Segment] = deque()
        self._reader: Iterator[tuple[int, Batch | Damage]] | None = None
        self._current: Batch | None = None
        self._mark = 0

    def __len__(self) -> int:
        return len(self._segments)

    def add(self, segment: Segment) -> None:
        """Put a segment behind the others."""
        self._segments.append(segment)

    def writable(self) -> Segment | None:
        """The last segment, if it can be appended to."""
        return self._segments[-1] if self._segments and self._segments[-1].writable else None

    def figures(self) -> Figures:
        """What waits; may be called from any thread."""
        return sum((segment.waiting for segment in tuple(self._segments)), Figures())

    def sync(self) -> None:
        """Bring to the disk what is owed; a segment where that fails takes no more and is reported."""
        for segment in tuple(self._segments):
            if segment.owes_sync:
                try:
                    segment.sync()
                except OSError as error:
                    doubt = f"it may be lost if the machine stops, or damaged: fsync failed: {error.strerror}"
                    self._report(Trouble(segment.path, doubt, {}, segment.adopted))

    def keys(self) -> Iterator[BatchKey]:
        """The keys of all batches that wait, and of some that are delivered; reads all files.

        Raises:
            OSError: A file could not be read.
        """
        for segment in self._segments:
            yield from (found.key for found in segment.frames() if isinstance(found, Batch))

    def oldest(self) -> Batch | None:
        """The first frame that is not acknowledged.

        Raises:
            OSError: A file could not be opened, though it is there.
        """
        while self._current is None and self._segments:
            self._step()
        return self._current

    def acknowledge(self, batch: Batch) -> None:
        """Be done with what `oldest()` gave.

        Raises:
            ValueError: It is another batch.
        """
        self.check_oldest(batch)
        self._segments[0].acknowledge(batch)
        self._current = None
        self._look_ahead()

    def cancel(self, batch: Batch) -> None:
        """Let nobody read what `oldest()` gave from its file again; it still has to be acknowledged.

        Raises:
            ValueError: It is another batch.
            OSError: The file could not be written.
        """
        self.check_oldest(batch)
        self._segments[0].cancel(batch, self._mark)

    def check_oldest(self, batch: Batch) -> None:
        """Make sure that `batch` is what `oldest()` gave.

        Raises:
            ValueError: It is another batch.
        """
        if self._current is None or batch.key != self._current.key:
            raise ValueError(f"{batch.key} is not the oldest batch of the spool")

    def drop_deleted(self) -> None:
        """Drop the segments whose files are gone; the one that is being read is still there by its descriptor."""
        reading = self._segments[0] if self._reader is not None else None
        for segment in tuple(self._segments):
            if segment is not reading and not segment.path.exists():
                self._drop(segment, "the file was deleted")

    def abandon(self) -> None:
        """Close all descriptors and forget the segments; their files stay."""
        for segment in self._segments:
            segment.abandon()
        self._segments.clear()
        self._reader = self._current = None

    def _look_ahead(self) -> None:
        """Go on within the segment that is being read, so that its file goes with its last frame."""
        while self._current is None and self._reader is not None:
            self._step()

    def _step(self) -> None:
        """Take one step through the first segment: into it, to its next frame, past damage, or out of it."""
        segment = self._segments[0]
        if self._reader is None:
            self._open(segment)
            return
        try:
            self._mark, found = next(self._reader, (0, None))
        except OSError as error:
            segment.spoiled = True
            self._drop(segment, f"could not be read: {error.strerror}, the file is kept in {self._damaged.directory}")
            return
        if isinstance(found, Batch):
            self._current = found
        elif found is not None:
            self._set_aside(segment, found)
        else:
            self._drop(segment)

    def _open(self, segment: Segment) -> None:
        try:
            self._reader = segment.read()
        except FileNotFoundError:
            self._drop(segment, "the file was deleted")

    def _set_aside(self, segment: Segment, damage: Damage) -> None:
        what = f"{damage.length} bytes at {damage.offset} {damage.reason}"
        try:
            piece = self._damaged.keep_piece(segment, damage)
        except OSError:  # no room for a copy: in the end the whole file is moved, which takes none
            segment.spoiled = True
            segment.troubles.append(f"{what}, the file is kept in {self._damaged.directory}")
        else:
            segment.troubles.append(f"{what}, kept in {piece}")

    def _drop(self, segment: Segment, *troubles: str) -> None:
        """Be done with a segment: delete its file, or keep it where a human finds it, and report what went wrong."""
        if segment is self._segments[0]:
            self._reader = None
        self._segments.remove(segment)
        segment.troubles.extend(troubles)
        try:
            if segment.spoiled:
                self._damaged.keep_file(segment)
            else:
                segment.remove()
        except OSError as error:
            segment.troubles.append(f"could not be removed: {error.strerror}")
        if segment.troubles:
            self._report(Trouble(segment.path, "; ".join(segment.troubles), segment.waiting.levels, segment.adopted))
