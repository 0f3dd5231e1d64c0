"""A writer without records of its own: it delivers what others have left, in the thread of whoever calls it."""

import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from dblog.batch import Batch
from dblog.location import place, target
from dblog.selflog import Announcer
from dblog.settings import HandlerSettings
from dblog.sinks.segments import Figures
from dblog.writing import notes
from dblog.writing.assembly import make_delivery, make_encoder, make_status
from dblog.writing.linequeue import LINE_OVERHEAD, LineQueue

Advance = Callable[[int], None]
"""Told how many rows have left the spool since the last call."""


class Replayer:
    """Takes over what waits for one database and delivers it; a context manager that lets go of everything.

    Whatever ends it, an exception, too: what is not delivered stays for the next writer or the next replay.

    Args:
        settings: Where the rows belong.
        directory: The spool directory.
        announcer: Told of trouble, of rows that PostgreSQL refused and of writers that ended without closing.
        source: The target of the rows to be delivered; None for the database of the settings.

    Attributes:
        writer_id: Its UUID among the writers.
        place: Where the database is.
        target: The target of the rows, which is not the database's where its address has changed since.
        delivered: Rows that came into the database.
        known: Rows that the ledger knew: they were there already.
    """

    def __init__(
        self, settings: HandlerSettings, directory: Path, announcer: Announcer, *, source: str | None = None
    ) -> None:
        chosen = settings.model_copy(update={"spool_dir": str(directory.absolute())})
        conninfo, hostname, writer_id = chosen.dsn.get_secret_value(), socket.gethostname(), uuid.uuid4().hex
        self.writer_id = writer_id
        self.place = place(conninfo)
        self.target = source or target(conninfo, chosen.schema_name, chosen.table_prefix)
        self.delivered = 0
        self.known = 0
        self._announcer = announcer
        self._queue = LineQueue(chosen.queue_max_bytes, writer_id=writer_id)
        self._encoder = make_encoder(chosen, hostname)
        self._delivery = make_delivery(chosen, writer_id, hostname, announcer, spool_target=source)
        if self._delivery.spool is None:
            raise ValueError("the settings name no spool directory")
        self._spool = self._delivery.spool
        self._status = make_status(chosen, writer_id, hostname, spool_target=self.target)

    def __enter__(self) -> Self:
        self._spool.open()
        self._write_status(closed=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._tell_of_deaths()  # also after Ctrl-C: nobody else knows of them
        self._write_status(closed=True)
        self._delivery.close_spool()
        self._delivery.close_database()

    @property
    def last_error(self) -> str | None:
        """Why the last try failed; None after a success."""
        return self._delivery.tally.last_error

    @property
    def waiting(self) -> Figures:
        """What was taken over and is not delivered."""
        return self._spool.figures()

    def take_over(self, deadline: float, advance: Advance) -> None:
        """Take over what one dead writer left and deliver it, then the next one, until nothing is left.

        Args:
            deadline: Of `time.monotonic()`, after which no batch is begun.
            advance: Told of the progress.

        Raises:
            OSError: The spool directory could not be read.
        """
        while time.monotonic() < deadline and self._delivery.adopt_one().figures.bytes:
            if not self.deliver(deadline, advance):
                break
        self._tell_of_deaths()

    def take_back(self, path: Path) -> None:
        """Have a file of `rejected/` delivered, too.

        Raises:
            ValueError: It cannot be delivered by this release, or not to this database.
            OSError: It is not there any more, or could not be moved.
        """
        self._spool.take_back(path)

    def deliver(self, deadline: float, advance: Advance) -> bool:
        """Deliver what was taken over; False where some stays, after five failures in a row or at the deadline."""
        tally, pacing = self._delivery.tally, self._delivery.pacing
        while self.waiting.frames:
            if time.monotonic() >= deadline or pacing.circuit_open:
                return False
            rows, stored, failed = self.waiting.rows, tally.batches, tally.failures
            known, refused = tally.known, tally.refused
            if self._delivery.replay(time.monotonic()):
                gone = rows - self.waiting.rows
                if tally.batches > stored:
                    self.known += tally.known - known
                    self.delivered += gone - (tally.known - known) - (tally.refused - refused)
                advance(gone)
            elif tally.failures > failed:
                time.sleep(max(0.0, min(pacing.next_try, deadline) - time.monotonic()))
            elif self.waiting.frames:  # the disk does not give it: the announcer was told why
                return False
        return True

    def _tell_of_deaths(self) -> None:
        """Tell the table of writers that ended without closing, as any writer does that takes over from them."""
        deaths = self._delivery.deaths
        while deaths:
            note = notes.of_death(deaths.popleft())
            self._announcer.announce(note.getMessage(), note.getMessage())
            line = self._encoder.encode(note)
            self._queue.append(line)
            self._queue.publish(len(line) + LINE_OVERHEAD)
        batch = self._queue.take(len(self._queue), self._queue.max_bytes)
        if batch is not None:
            self._put(batch)
            self._put(self._queue.closing_batch())

    def _put(self, batch: Batch) -> None:
        healthy = not self._delivery.pacing.failures
        if not (healthy and self._delivery.attempt(batch, time.monotonic())):
            self._delivery.give_up(batch)

    def _write_status(self, *, closed: bool) -> None:
        self._spool.write_status(
            self._status.render(
                self._delivery.tally,
                emitted={},
                queue_bytes=0,
                spool=self._spool,
                state="closed" if closed else "replaying",
                closed=closed,
            )
        )
