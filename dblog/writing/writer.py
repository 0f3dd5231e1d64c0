"""A writer: all that one handler has in one process, from the queue to the connection, under one identity."""

import logging
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable

from dblog.selflog import Announcer
from dblog.settings import HandlerSettings
from dblog.stats import HandlerStats, State
from dblog.writing.assembly import make_delivery, make_encoder, make_queue, make_status
from dblog.writing.intake import Intake
from dblog.writing.upkeep import Upkeep
from dblog.writing.worker import Worker


class Writer:
    """Takes records and brings them to the database; no thread is started and nothing opened before the first one.

    Args:
        settings: The handler's settings.
        in_child: Takes a record in a forked child that Python did not tell of the fork.
    """

    def __init__(self, settings: HandlerSettings, in_child: Callable[[logging.LogRecord], None]) -> None:
        hostname = socket.gethostname()
        announcer = Announcer()
        writer_id = uuid.uuid4().hex
        self.process_id = os.getpid()
        self._started = time.monotonic()
        self._encoder = make_encoder(settings, hostname)
        self.delivery = make_delivery(settings, writer_id, hostname, announcer)
        self._queue = make_queue(settings, self.delivery, writer_id, announcer)
        upkeep = Upkeep(self._queue, self.delivery, self._describe, self._take_note)
        self.worker = Worker(self._queue, self.delivery, upkeep, announcer)
        self._intake = Intake(
            self._queue,
            self._encoder,
            self.worker,
            self.delivery.tally,
            announcer,
            overflow=settings.overflow,
            block_timeout=settings.block_timeout,
            batch_size=settings.batch_size,
            batch_bytes=settings.batch_bytes,
            in_child=in_child,
        )
        self.take = self._intake.take
        self._status = make_status(settings, writer_id, hostname)

    @property
    def closed(self) -> bool:
        """True once everything was delivered or given up."""
        return self.worker.stepper.ended

    def stats(self) -> HandlerStats:
        """The figures of this writer."""
        tally = self.delivery.tally
        # Before the lock of the tally: whoever holds one of these may be about to count a loss.
        emitted, waiting, pending = self._intake.totals(), self._queue.levels(), self.worker.waiting_batch()
        with tally.lock:
            return HandlerStats(
                emitted=emitted,
                stored=+tally.stored,
                spooled=+tally.spooled,
                rejected=+tally.rejected,
                printed=+tally.printed,
                dropped=+tally.dropped,
                waiting=waiting + Counter(pending.levels if pending is not None else {}),
                queue_bytes=max(0, self._queue.size),
                batches=tally.batches,
                failures=tally.failures,
                repaired=self._encoder.repaired,
                state=self._state(),
                last_error=tally.last_error,
                uptime=time.monotonic() - self._started,
                writer_id=self._queue.writer_id,
                compiled=self._intake.compiled,
            )

    def abandon(self) -> None:
        """In a forked child: what waits, and the connection, are the parent's."""
        self.delivery.abandon()

    def _state(self) -> State:
        if self.closed:
            return "closed"
        if self.delivery.pacing.circuit_open:
            return "circuit open"
        if self.delivery.pacing.failures:
            return "retrying"
        return "connected" if self.delivery.database.connected else "idle"

    def _describe(self, closed: bool) -> bytes:
        return self._status.render(
            self.delivery.tally,
            emitted=self._intake.totals(),
            queue_bytes=max(0, self._queue.size),
            spool=self.delivery.spool,
            state="closed" if closed else self._state(),
            closed=closed,
        )

    def _take_note(self, record: logging.LogRecord) -> None:
        self._intake.take_note(record)
