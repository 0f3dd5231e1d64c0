"""What becomes of a batch: the database, else the spool, else stderr, else it is counted as dropped."""

import threading
import time
from collections import Counter
from typing import Final

from dblog.batch import Batch, BatchKey, Rejected
from dblog.errors import DblogError
from dblog.faults import Fault, classify, describe
from dblog.pacing import Pacing
from dblog.selflog import Announcer
from dblog.sinks.backlog import Trouble
from dblog.sinks.postgres import PostgresSink
from dblog.sinks.spool import Spool
from dblog.sinks.stderr import StderrSink

AHEAD_INTERVAL: Final = 3600.0
"""Seconds between two looks at whether the partitions of the next days are there."""
ADOPT_INTERVAL: Final = 60.0
"""Seconds between two looks for what dead processes left in the spool."""
PRINT_SECONDS: Final = 2.0
"""Seconds that one batch may take to be printed before its rest is dropped: a stalled pipe stops nobody."""


class Tally:
    """What became of records, by level."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.stored: Counter[int] = Counter()
        self.spooled: Counter[int] = Counter()
        self.rejected: Counter[int] = Counter()
        self.printed: Counter[int] = Counter()
        self.dropped: Counter[int] = Counter()
        self.batches = 0
        self.failures = 0
        self.last_error: str | None = None


class Delivery:
    """Brings batches away: one thread tries the database, any thread may put a batch elsewhere.

    Args:
        writer_id: The writer whose own batches are counted; those that it adopted are not.
        place: Where the database is, for announcements.
        database: Where batches belong.
        stderr: Where they go when nothing else is left.
        pacing: Decides when to try.
        announcer: Tells the operator.

    Attributes:
        spool: Where batches wait while the database is away; None for nowhere.
    """

    def __init__(
        self,
        writer_id: str,
        place: str,
        database: PostgresSink,
        stderr: StderrSink,
        pacing: Pacing,
        announcer: Announcer,
    ) -> None:
        self.tally = Tally()
        self.pacing = pacing
        self.spool: Spool | None = None
        self._writer_id = writer_id
        self._place = place
        self.database = database
        self._stderr = stderr
        self._announcer = announcer
        self._next_look_ahead = 0.0
        self._next_adoption = 0.0
        self._disowned = False
        self._stored: BatchKey | None = None
        self._outage_announced = False
        self._spool_lock = threading.RLock()

    def attempt(self, batch: Batch, now: float, *, spooled: bool = False) -> bool:
        """Try the database; True where the batch, which may be one of the spool's, is stored."""
        rejected: list[Rejected] = []
        try:
            self.database.store(batch, rejected)
        except Exception as error:  # noqa: BLE001 - whatever the driver or a migration raises, the batch stays
            self._failed(error, now)
            return False
        self._succeeded(batch, rejected, spooled=spooled)
        self._look_ahead(now)
        return True

    def divert(self, batch: Batch) -> bool:
        """Put a batch into the spool; False where there is none, or it cannot take the batch."""
        if self.spool is None:
            return False
        try:
            with self._spool_lock:
                self.spool.append(batch)
        except OSError as error:
            self._announcer.announce("spool", f"the spool cannot take records: {error.strerror or error}")
            return False
        with self.tally.lock:
            self.tally.spooled.update(batch.levels)
        return True

    def give_up(self, batch: Batch, *, seconds: float = PRINT_SECONDS) -> None:
        """A batch that cannot wait: into the spool, else to stderr; what that does not take in time is dropped."""
        if self.divert(batch):
            return
        rows = batch.payload.splitlines(keepends=True)
        unprinted = self._stderr.print_rows(rows, seconds=seconds)
        dropped = Counter(map(_level_of, unprinted))
        with self.tally.lock:
            self.tally.dropped.update(dropped)
            self.tally.printed.update(Counter(batch.levels) - dropped)
        if rows:
            lost = f"{len(rows)} record{'s' if len(rows) > 1 else ''}"
            said = f"{lost} will not be in the database at {self._place}; see the console or the lines above"
            self._announcer.announce("given up", said)

    def replay(self, now: float) -> bool:
        """Try the oldest batch of the spool; False where nothing waits or the try failed."""
        batch = self._oldest_spooled()
        if self.spool is None or batch is None or not self.attempt(batch, now, spooled=True):
            return False
        with self._spool_lock:
            if not self._disowned:  # else whoever opens the spool next sends the batch again: the ledger knows it
                self.spool.acknowledge(batch)
        return True

    def adopt(self, now: float) -> bool:
        """Take over what one dead process left in the spool; True where there was something.

        Looks once a minute at most as long as there is nothing, and only while the database takes batches.
        """
        if self.spool is None or now < self._next_adoption or self.pacing.failures or not self.tally.batches:
            return False
        try:
            with self._spool_lock:
                adopted = not self._disowned and self.spool.adopt().bytes > 0
        except OSError as error:
            self._announcer.announce("spool", f"the spool cannot be searched: {error.strerror or error}")
            adopted = False
        if not adopted:
            self._next_adoption = now + ADOPT_INTERVAL
        return adopted

    def lost(self, trouble: Trouble) -> None:
        """The spool could not bring something back."""
        self._announcer.announce("spool", f"{trouble.path}: {trouble.reason}")
        if not trouble.adopted:
            with self.tally.lock:
                self.tally.spooled.subtract(trouble.levels)
                self.tally.dropped.update(trouble.levels)

    def disown(self) -> BatchKey | None:
        """From now on a closing thread decides what becomes of records: a try under way is not counted any more.

        Returns:
            The key of the batch that was stored last.
        """
        with self.tally.lock:
            self._disowned = True
            return self._stored

    def close_database(self) -> None:
        """Let go of the connection."""
        self.database.close()

    def close_spool(self) -> None:
        """Let go of the spool; what waits in it is left to another handler or process."""
        if self.spool is None:
            return
        try:
            with self._spool_lock:
                self.spool.close()
        except OSError as error:
            self._announcer.announce("spool", f"the spool's folder cannot be removed: {error.strerror or error}")

    def abandon(self) -> None:
        """In a forked child: leave the connection and the spool to the parent."""
        self.database.abandon()
        if self.spool is not None:
            self.spool.abandon()

    def _oldest_spooled(self) -> Batch | None:
        if self.spool is None:
            return None
        try:
            with self._spool_lock:
                return self.spool.oldest()
        except OSError as error:
            self._announcer.announce("spool", f"the spool cannot be read: {error.strerror or error}")
            return None

    def _succeeded(self, batch: Batch, rejected: list[Rejected], *, spooled: bool) -> None:
        self.pacing.succeeded()
        if self._outage_announced:
            self._outage_announced = False
            self._announcer.announce("database back", f"the database at {self._place} takes records again")
        unprinted = Counter(map(_level_of, self._print_rejected(rejected)))
        refused = Counter(_level_of(each.row) for each in rejected)
        with self.tally.lock:
            own = batch.key.writer_id == self._writer_id and not self._disowned
            self._stored = batch.key
            self.tally.batches += 1
            self.tally.last_error = None
            if own:
                self.tally.rejected.update(refused - unprinted)
                self.tally.dropped.update(unprinted)
                self.tally.stored.update(Counter(batch.levels) - refused)
                self.tally.spooled.subtract(batch.levels if spooled else {})

    def _print_rejected(self, rejected: list[Rejected]) -> list[bytes]:
        """Set refused rows aside, which is on stderr with the reason; returns those that not even stderr takes."""
        return [
            row
            for each in rejected
            for row in self._stderr.print_rows([each.row], seconds=PRINT_SECONDS, refused=each.reason)
        ]

    def _failed(self, error: Exception, now: float) -> None:
        reason = str(error) if isinstance(error, DblogError) else describe(error)
        fault = Fault.OPERATOR if isinstance(error, DblogError) else classify(error)
        self.pacing.failed(fault, now)
        with self.tally.lock:
            self.tally.failures += 1
            self.tally.last_error = reason
        if self._announcer.announce("database", f"the database at {self._place} does not take records: {reason}"):
            self._announcer.forget("database back")
            self._outage_announced = True

    def _look_ahead(self, now: float) -> None:
        if now < self._next_look_ahead:
            return
        self._next_look_ahead = now + AHEAD_INTERVAL
        try:
            self.database.keep_ahead()
        except Exception as error:  # noqa: BLE001 - the batch before it is stored, whatever happens to this
            self._announcer.announce("ahead", f"no partitions could be made ahead: {describe(error)}")


def seconds_left(deadline: float) -> float:
    """Seconds until a deadline of `time.monotonic()`, never negative."""
    return max(0.0, deadline - time.monotonic())


def _level_of(row: bytes) -> int:
    return int(row.split(b"\t", 4)[3])
