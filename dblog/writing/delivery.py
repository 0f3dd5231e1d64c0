"""What becomes of a batch: the database, else the spool, else stderr, else it is counted as dropped."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from dblog.batch import Batch, BatchKey, Rejected
from dblog.defaults import LEDGER_KEEP_DAYS
from dblog.errors import DblogError
from dblog.faults import Fault, classify, describe
from dblog.periods import is_remembered
from dblog.selflog import Announcer
from dblog.sinks.adoption import Adopted, Death
from dblog.sinks.journal import Journal
from dblog.sinks.postgres import PostgresSink
from dblog.sinks.segments import Trouble
from dblog.sinks.stderr import StderrSink, level_of
from dblog.writing.notes import is_note
from dblog.writing.pacing import Pacing
from dblog.writing.safespool import SafeSpool
from dblog.writing.tally import Tally, add

AHEAD_INTERVAL: Final = 3600.0
"""Seconds between two looks at whether the partitions of the next days are there."""
ADOPT_INTERVAL: Final = 60.0
"""Seconds between two looks for what dead processes left in the spool."""
PRINT_SECONDS: Final = 2.0
"""Seconds that one batch may take to be printed before its rest is dropped: a stalled pipe stops nobody."""
_EXPIRED: Final = f"formed outside the {LEDGER_KEEP_DAYS} days within which the ledger tells a batch from its copy"


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
        journal: Where records were written before their batch was formed; None for nowhere.
        deaths: Writers that were found to have ended without closing, and of which nobody was told yet.
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
        self.spool: SafeSpool | None = None
        self.journal: Journal | None = None
        self.deaths: deque[Death] = deque()
        self.place = place
        self.database = database
        self._writer_id = writer_id
        self._stderr = stderr
        self._announcer = announcer
        self._next_look_ahead = 0.0
        self._next_adoption = 0.0
        self._disowned = False
        self._stored: BatchKey | None = None
        self._outage_announced = False

    def attempt(self, batch: Batch, now: float, *, spooled: bool = False) -> bool:
        """Try the database; True where the batch, which may be one of the spool's, is stored."""
        rejected: list[Rejected] = []
        begun = time.monotonic()
        try:
            stepwise = self.spool is not None and self.spool.holds_aside(batch)
            fresh = self.database.store(batch, rejected, self._set_aside, stepwise=stepwise)
        except Exception as error:  # noqa: BLE001 - whatever the driver or a migration raises, the batch stays
            self._failed(error, now + time.monotonic() - begun)  # a pause begins when the attempt has ended
            return False
        self._succeeded(batch, rejected, fresh=fresh, spooled=spooled)
        self._look_ahead(now)
        return True

    def divert(self, batch: Batch) -> bool:
        """Put a batch into the spool; False where there is none, or it does not take the batch."""
        if self.spool is None or not self.spool.append(batch):
            return False
        with self.tally.lock:
            add(self.tally.spooled, batch.levels)
        self._release(batch)
        return True

    def give_up(self, batch: Batch, *, seconds: float = PRINT_SECONDS, spool: bool = True) -> None:
        """A batch that cannot wait: into the spool, else to stderr; what that does not take in time is dropped."""
        if spool and self.divert(batch):
            return
        dropped = self._stderr.print_batch(batch, seconds=seconds)
        self.tally.lose(dropped=dropped, printed=Counter(batch.levels) - dropped)
        self._release(batch)
        if batch.rows:
            lost = f"{batch.rows} record{'s' if batch.rows > 1 else ''}"
            said = f"{lost} will not be in the database at {self.place}; see the console or the lines above"
            self._announcer.announce("given up", said)

    def replay(self, now: float) -> bool:
        """Try the oldest batch of the spool; False where nothing waits or the try failed."""
        batch = self.spool.oldest() if self.spool is not None else None
        if self.spool is None or batch is None:
            return False
        if not is_remembered(batch.key.birth_day, datetime.now(UTC).date()):
            return self._expire(self.spool, batch)
        if not self.attempt(batch, now, spooled=True):
            return False
        self.spool.acknowledge(batch)
        return True

    def adopt(self, now: float) -> bool:
        """Take over what one dead process left in the spool; True where there was something.

        Looks once a minute at most as long as there is nothing, and only while the database takes batches.
        """
        if now < self._next_adoption or self.pacing.failures or not self.tally.batches:
            return False
        try:
            adopted = self.adopt_one().figures.bytes > 0
        except OSError as error:
            reason = error.strerror or error
            self._announcer.announce("search", f"the spool cannot be searched for what others left: {reason}")
            adopted = False
        if not adopted:
            self._next_adoption = now + ADOPT_INTERVAL
        return adopted

    def adopt_one(self) -> Adopted:
        """Take over what one dead process left in the spool, whatever the time.

        Raises:
            OSError: The common folder could not be read.
        """
        adopted = self.spool.adopt() if self.spool is not None else Adopted()
        self.deaths.extend(adopted.deaths)
        return adopted

    def lost(self, trouble: Trouble) -> None:
        """The spool could not bring something back."""
        self._announcer.announce("spool", f"{trouble.path}: {trouble.reason}")
        if not trouble.adopted and trouble.levels:
            with self.tally.lock:
                self.tally.spooled.subtract(trouble.levels)
            self.tally.lose(dropped=trouble.levels)

    def sync(self) -> None:
        """Bring to the disk what the spool and the journal owe it."""
        if self.spool is not None:
            self.spool.sync()
        if self.journal is not None:
            self._try_journal("cannot be brought to the disk or tidied up", self.journal.sync)

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
        if self.journal is not None:
            self._try_journal("cannot be closed", self.journal.close)
        if self.spool is not None:
            self.spool.close()

    def abandon(self) -> None:
        """In a forked child: leave the connection and the spool to the parent."""
        self.database.abandon()
        if self.journal is not None:
            self.journal.abandon()
        if self.spool is not None:
            self.spool.abandon()

    def _try_journal(self, failing: str, action: Callable[[], None]) -> None:
        """Do something to the journal's files; what its disk refuses must not keep batches from the database."""
        try:
            action()
        except OSError as error:
            self._announcer.announce("journal", f"the journal {failing}: {error.strerror or error}")

    def _expire(self, spool: SafeSpool, batch: Batch) -> bool:
        """Set a batch aside that might be stored a second time, because the ledger does not remember its day."""
        if not spool.expire(batch, _EXPIRED):
            return False
        self._announcer.announce("expired", f"{batch.rows} records were set aside, see `dblog rejected ls`: {_EXPIRED}")
        if batch.key.writer_id == self._writer_id:
            with self.tally.lock:
                self.tally.spooled.subtract(batch.levels)
            self.tally.lose(rejected=batch.levels)
        return True

    def _set_aside(self, batch: Batch, refused: Sequence[Rejected]) -> None:
        if self.spool is not None:
            self.spool.set_aside(batch, refused)

    def _succeeded(self, batch: Batch, rejected: list[Rejected], *, fresh: bool, spooled: bool) -> None:
        self.pacing.succeeded()
        self.tally.succeeded()
        if self._outage_announced:
            self._outage_announced = False
            self._announcer.announce("database back", f"the database at {self.place} takes records again")
        kept = self.spool is not None and self.spool.settle_aside(batch, refused=bool(rejected), fresh=fresh)
        unprinted = Counter[int]() if kept else self._stderr.print_rejected(rejected, seconds=PRINT_SECONDS)
        refused = Counter(level_of(each.row) for each in rejected)
        if rejected and kept:
            rows = f"{len(rejected)} row{'s' if len(rejected) > 1 else ''}"
            said = f"PostgreSQL refused {rows}, see `dblog rejected ls`: {rejected[0].reason}"
            self._announcer.announce("rejected", said)
        with self.tally.lock:
            self._stored = batch.key
            self.tally.known += 0 if fresh else batch.rows - len(rejected)
            self.tally.refused += len(rejected)
            if batch.key.writer_id == self._writer_id and not self._disowned:
                self.tally.stored.update(Counter(batch.levels) - refused)
                self.tally.spooled.subtract(batch.levels if spooled else {})
                if refused:
                    # What became of its own notes is not told in further ones, or that would never end.
                    told = not all(is_note(each.row) for each in rejected)
                    self.tally.lose(rejected=refused - unprinted, dropped=unprinted, told=told)
        if not spooled:
            self._release(batch)

    def _release(self, batch: Batch) -> None:
        """Somebody else owns the batch now: the journal need not keep it."""
        if self.journal is not None:
            self.journal.settle(batch.key)

    def _failed(self, error: Exception, now: float) -> None:
        reason = str(error) if isinstance(error, DblogError) else describe(error)
        fault = Fault.OPERATOR if isinstance(error, DblogError) else classify(error)
        self.pacing.failed(fault, now)
        self.tally.failed(reason)
        if self._announcer.announce("database", f"the database at {self.place} does not take records: {reason}"):
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
