"""What becomes of a batch: the database, else the spool, else stderr, else it is counted as dropped."""

import threading
import time
from collections import Counter
from typing import Final, Protocol

import psycopg

from dblog.batch import Batch, Rejected
from dblog.errors import DblogError
from dblog.faults import Fault, classify, describe
from dblog.pacing import Pacing
from dblog.selflog import Announcer
from dblog.sinks.spool import Spool
from dblog.sinks.stderr import StderrSink

AHEAD_INTERVAL: Final = 3600.0
"""Seconds between two looks at whether the partitions of the next days are there."""
PRINT_SECONDS: Final = 2.0
"""Seconds that one batch may take to be printed before its rest is dropped: a stalled pipe stops nobody."""

_FAILURES: Final = (psycopg.Error, DblogError, OSError, UnicodeError)


class DatabaseSink(Protocol):
    """What the delivery asks of a database: take the whole batch or raise."""

    def store(self, batch: Batch, rejected: list[Rejected]) -> None:
        """Store a batch once; fills `rejected` with the rows that were refused."""

    def keep_ahead(self) -> None:
        """Prepare the days to come."""

    def close(self) -> None:
        """Let go of the connection."""

    def abandon(self) -> None:
        """Leave the connection to the parent process."""


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
    """Brings batches away; used by one thread at a time.

    Args:
        writer_id: The writer whose own batches are counted; those that it adopted are not.
        place: Where the database is, for announcements.
        database: Where batches belong.
        spool: Where they wait meanwhile; None for nowhere.
        stderr: Where they go when nothing else is left.
        pacing: Decides when to try.
        announcer: Tells the operator.
    """

    def __init__(
        self,
        writer_id: str,
        place: str,
        database: DatabaseSink,
        spool: Spool | None,
        stderr: StderrSink,
        pacing: Pacing,
        announcer: Announcer,
    ) -> None:
        self.tally = Tally()
        self.pacing = pacing
        self.spool = spool
        self._writer_id = writer_id
        self._place = place
        self._database = database
        self._stderr = stderr
        self._announcer = announcer
        self._next_look_ahead = 0.0

    def attempt(self, batch: Batch, now: float) -> bool:
        """Try the database; True where the batch is stored."""
        rejected: list[Rejected] = []
        try:
            self._database.store(batch, rejected)
        except _FAILURES as error:
            self._failed(error, now)
            return False
        self._succeeded(batch, rejected)
        self._look_ahead(now)
        return True

    def divert(self, batch: Batch) -> bool:
        """Put a batch into the spool; False where there is none, or it cannot take the batch."""
        if self.spool is None:
            return False
        try:
            self.spool.append(batch)
        except OSError as error:
            self._announcer.announce("spool", f"the spool cannot take records: {error.strerror or error}")
            return False
        with self.tally.lock:
            self.tally.spooled.update(batch.levels)
        return True

    def give_up(self, batch: Batch) -> None:
        """A batch that cannot wait: into the spool, else to stderr; what even stderr does not take is dropped."""
        if self.divert(batch):
            return
        rows = batch.payload.splitlines(keepends=True)
        unprinted = self._stderr.print_rows(rows, seconds=PRINT_SECONDS)
        dropped = Counter(map(_level_of, unprinted))
        with self.tally.lock:
            self.tally.dropped.update(dropped)
            self.tally.printed.update(Counter(batch.levels) - dropped)
        if rows:
            self._announcer.announce("given up", f"{len(rows)} records will not be in the database at {self._place}")

    def replay(self, now: float) -> bool:
        """Try the oldest batch of the spool; False where nothing waits or the try failed."""
        batch = self.spool.oldest() if self.spool is not None else None
        if self.spool is None or batch is None or not self.attempt(batch, now):
            return False
        self.spool.acknowledge(batch)
        if batch.key.writer_id == self._writer_id:
            with self.tally.lock:
                self.tally.spooled.subtract(batch.levels)
        return True

    def close(self) -> None:
        """Let go of the connection and the spool."""
        self._database.close()
        if self.spool is not None:
            self.spool.close()

    def abandon(self) -> None:
        """In a forked child: leave the connection and the spool to the parent."""
        self._database.abandon()
        if self.spool is not None:
            self.spool.abandon()

    def _succeeded(self, batch: Batch, rejected: list[Rejected]) -> None:
        if self.pacing.failures:
            self._announcer.forget("database")
            self._announcer.announce("database back", f"the database at {self._place} takes records again")
        self.pacing.succeeded()
        refused = Counter(_level_of(each.row) for each in rejected)
        own = batch.key.writer_id == self._writer_id
        with self.tally.lock:
            self.tally.batches += 1
            self.tally.last_error = None
            if own:
                self.tally.rejected.update(refused)
                self.tally.stored.update(Counter(batch.levels) - refused)
        for each in rejected:
            self._announcer.announce("rejected", f"PostgreSQL refused a record: {each.reason}")
        self._stderr.print_rows([each.row for each in rejected], seconds=PRINT_SECONDS)

    def _failed(self, error: BaseException, now: float) -> None:
        reason = str(error) if isinstance(error, DblogError) else describe(error)
        fault = Fault.OPERATOR if isinstance(error, DblogError) else classify(error)
        self.pacing.failed(fault, now)
        with self.tally.lock:
            self.tally.failures += 1
            self.tally.last_error = reason
        self._announcer.forget("database back")
        self._announcer.announce("database", f"the database at {self._place} does not take records: {reason}")

    def _look_ahead(self, now: float) -> None:
        if now < self._next_look_ahead:
            return
        self._next_look_ahead = now + AHEAD_INTERVAL
        try:
            self._database.keep_ahead()
        except _FAILURES as error:
            self._announcer.announce("ahead", f"no partitions could be made ahead: {describe(error)}")


def seconds_left(deadline: float) -> float:
    """Seconds until a deadline of `time.monotonic()`, never negative."""
    return max(0.0, deadline - time.monotonic())


def _level_of(row: bytes) -> int:
    return int(row.split(b"\t", 4)[3])
