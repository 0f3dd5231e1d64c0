"""The spool as a delivery uses it: by one thread at a time, and with failures announced instead of raised."""

import errno
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dblog.batch import Batch, BatchKey, Rejected
from dblog.locks import acquire
from dblog.selflog import Announcer
from dblog.sinks.adoption import Adopted
from dblog.sinks.segments import Figures
from dblog.sinks.spool import Spool

_PATIENCE: Final = 1.0
"""Seconds to wait for a thread that is busy in the spool, perhaps stuck on a disk that does not answer."""


class SafeSpool:
    """Guards a spool.

    Args:
        spool: The spool.
        announcer: Told what it cannot do.

    Attributes:
        last_error: What it could not do; None since it took a batch.
    """

    def __init__(self, spool: Spool, announcer: Announcer) -> None:
        self._spool = spool
        self._announcer = announcer
        self._lock = threading.RLock()
        self._closed = False
        self._oldest: Batch | None = None
        self._stuck = False
        self._aside: BatchKey | None = None
        self.last_error: str | None = None

    @property
    def directory(self) -> Path:
        """The folder that the writers share."""
        return self._spool.directory

    def open(self) -> None:
        """Take the writer's folder.

        Raises:
            OSError: It cannot be had.
        """
        held: list[bool] = []
        try:
            if not acquire(self._lock, held, timeout=_PATIENCE):
                raise TimeoutError(errno.ETIMEDOUT, "the spool's disk does not answer")
            self._spool.open()
        finally:
            if True in held:
                self._lock.release()

    def append(self, batch: Batch) -> bool:
        """Store a batch, of a spool that was closed, too; False where the spool cannot take it."""
        self._closed = False
        taken = self._try("takes no records", lambda: self._spool.append(batch))
        if taken:
            self.last_error = None
        return taken

    def oldest(self) -> Batch | None:
        """The batch that has waited longest; None where nothing waits or it cannot be read now."""
        self._oldest = None
        self._try("cannot be read", self._look)
        return self._oldest

    def acknowledge(self, batch: Batch) -> None:
        """Let go of the oldest batch, which the database has; after `close()` whoever comes next finds that out."""
        self._try("cannot let go of a batch", lambda: None if self._closed else self._spool.acknowledge(batch))

    def expire(self, batch: Batch, reason: str) -> bool:
        """Set the oldest batch aside for a human; False where that was not possible."""
        return self._try("cannot set an old batch aside", lambda: self._spool.expire(batch, reason))

    def holds_aside(self, batch: Batch) -> bool:
        """True where an earlier try of the batch set rows aside, and its end is not known."""
        return self._spool.holds_aside(batch.key)

    def set_aside(self, batch: Batch, refused: Sequence[Rejected]) -> None:
        """Keep refused rows on disk before the transaction commits without them; none undo an earlier try."""
        kept = self._try("cannot keep refused rows", lambda: self._spool.set_aside(batch, refused))
        self._aside = batch.key if kept else None

    def settle_aside(self, batch: Batch, *, refused: bool, fresh: bool) -> bool:
        """The batch is in the database: file its refused rows for good, or forget those of an earlier try.

        Args:
            batch: The batch.
            refused: True where rows of it were refused.
            fresh: False where the ledger knew the batch: then an earlier try, of whatever process, had the last word.

        Returns:
            True where the refused rows are on disk.
        """
        kept, self._aside = self._aside == batch.key, None
        settle = self._spool.confirm if refused or not fresh else self._spool.discard
        self._try("cannot file refused rows", lambda: settle(batch.key))
        return kept

    def take_back(self, path: Path) -> None:
        """Have a file of `rejected/` wait here, to be delivered once more.

        Raises:
            ValueError: It is for another target, or with columns or of a format that are not known.
            OSError: It is not there any more, or could not be moved; it stays where it is.
        """
        with self._lock:
            self._spool.take_back(path)

    def adopt(self) -> Adopted:
        """Take over what one dead writer left.

        Raises:
            OSError: The common folder could not be read.
        """
        with self._lock:
            return Adopted() if self._closed else self._spool.adopt()

    def sync(self) -> None:
        """Bring to the disk what is due."""
        self._try("cannot be brought to the disk", self._spool.sync)

    def write_status(self, status: bytes) -> None:
        """Leave word in the folder how this writer is doing; makes the folder where it is missing."""
        if not self._closed:
            self._try("has no folder to work in", self._spool.open)
            self._try("cannot tell how it is doing", lambda: self._spool.write_status(status))

    def figures(self) -> Figures:
        """What waits; from any thread."""
        return self._spool.figures()

    def share_used(self) -> float:
        """The part of its limit that is used, from 0 to 1; from any thread."""
        return self._spool.share_used()

    def room_left(self) -> int:
        """Bytes that may still be taken; from any thread."""
        return self._spool.room_left()

    def close(self) -> None:
        """Let go of the spool; what waits in it is left to another handler or process."""
        self._closed = True
        self._try("cannot be tidied up", self._spool.close)

    def abandon(self) -> None:
        """In a forked child: leave the spool to the parent."""
        self._spool.abandon()

    def _look(self) -> None:
        if not self._closed:
            self._oldest = self._spool.oldest()

    def _try(self, failing: str, action: Callable[[], object]) -> bool:
        """Have the spool to oneself for an action; where it fails, say so and return False.

        Who has waited in vain is followed by nobody who waits, until the thread that is stuck comes back.
        """
        held: list[bool] = []
        try:
            self._stuck = not acquire(self._lock, held, timeout=0.0 if self._stuck else _PATIENCE)
            if self._stuck:
                self._complain(failing, "its disk does not answer")
                return False
            action()
        except OSError as error:
            self._complain(failing, error.strerror or str(error))
            return False
        finally:
            if True in held:
                self._lock.release()
        return True

    def _complain(self, failing: str, reason: str) -> None:
        self._announcer.announce(failing, f"the spool {self.directory} {failing}: {reason}")
        self.last_error = f"{failing}: {reason}"
