"""What a worker looks after about once a second, beside its batches: the disk, the status, the room, the notes."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from dblog.writing import notes
from dblog.writing.delivery import ADOPT_INTERVAL, Delivery
from dblog.writing.linequeue import LineQueue, floor_at

INTERVAL: Final = 1.0
"""Seconds between two looks."""
NOTE_INTERVAL: Final = 60.0
"""Seconds between two notes about losses."""


class Upkeep:
    """The chores of one worker.

    Args:
        queue: Told which levels to keep out while the spool fills.
        delivery: Owns the spool and counts.
        describe: Makes the status of the writer, told whether it is closed.
        take_note: Takes a record into the queue.
    """

    def __init__(
        self,
        queue: LineQueue,
        delivery: Delivery,
        describe: Callable[[bool], bytes],
        take_note: Callable[[logging.LogRecord], None],
    ) -> None:
        self._queue = queue
        self._delivery = delivery
        self._describe = describe
        self._take_note = take_note
        self._next_look = 0.0
        self._next_note = 0.0
        self._described: object = None
        self._told_at_the_end = False

    def look_after(self, now: float) -> None:
        """Do what is due."""
        if self._delivery.deaths:  # at once: nobody else knows of them, now that their folders are gone
            self.report()
        if now < self._next_look:
            return
        self._next_look = now + INTERVAL
        self._delivery.sync()
        self.restrict()
        self._write_status(closed=False)
        if now >= self._next_note and self.report():
            self._next_note = now + NOTE_INTERVAL

    def restrict(self) -> None:
        """Keep the lowest levels out while the database is away and the room gets scarce.

        The spool's own limit keeps a reserve for errors. A disk that others have filled does so only together with
        the memory: as long as that has room, records wait there.
        """
        spool, floor = self._delivery.spool, 0
        if spool is not None and self._delivery.pacing.failures:
            taken = spool.figures().bytes
            room = self._queue.max_bytes + taken + spool.room_left()
            floor = floor_at(max(spool.share_used(), (self._queue.size + taken) / room))
        self._queue.restrict(floor)

    def report(self) -> bool:
        """Tell the table what is missing in it, where the database takes records; True where there was something."""
        delivery = self._delivery
        if delivery.pacing.failures or not delivery.tally.batches:
            return False
        told = self._report_deaths()
        losses = delivery.tally.take_losses() if delivery.tally.has_losses() else None
        if losses is not None:
            self._take_note(notes.of_losses(losses, self._queue.writer_id))
        return told or losses is not None

    def report_at_the_end(self) -> bool:
        """Tell once what is left to tell; of deaths wherever it goes, because nobody else knows of them."""
        if self._told_at_the_end:
            return False
        self._told_at_the_end = True
        return self.report() or self._report_deaths()

    def _report_deaths(self) -> bool:
        deaths = self._delivery.deaths
        found = bool(deaths)
        while deaths:
            self._take_note(notes.of_death(deaths.popleft()))
        return found

    def idle_limit(self) -> float:
        """Seconds that an idle worker may sleep: it looks after what waits in the spool and what others left."""
        spool = self._delivery.spool
        if spool is not None and spool.figures().bytes:
            pause = self._delivery.pacing.next_try - time.monotonic()
            return pause if 0.0 < pause < INTERVAL else INTERVAL
        if self._described != self._mark():
            return INTERVAL
        return ADOPT_INTERVAL if spool is not None else threading.TIMEOUT_MAX

    def finish(self) -> None:
        """Write the last status."""
        self._described = None
        self._write_status(closed=True)

    def _write_status(self, *, closed: bool) -> None:
        mark = self._mark()
        if self._delivery.spool is not None and mark != self._described:
            self._delivery.spool.write_status(self._describe(closed))
        self._described = mark

    def _mark(self) -> object:
        """Changes whenever the status has something new to say."""
        tally = self._delivery.tally
        spooled = self._delivery.spool.figures().bytes if self._delivery.spool is not None else 0
        return self._queue.taken, tally.batches, tally.failures, spooled, tally.has_losses()
