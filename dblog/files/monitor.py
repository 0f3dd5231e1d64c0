"""What is done while nobody logs: rotation by time, clean-up, and compression that was put off.

One thread looks after all writers of the process that need it; without any, there is none. It sleeps until something
may be due, a minute at most, because the clock on the wall may be set.
"""

import math
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from dblog.files.threads import Background
from dblog.selflog import Announcer

if TYPE_CHECKING:
    from dblog.files.settings import FileSettings

THREAD: Final = "dblog-files-monitor"
LOOK: Final = 60.0
"""Seconds between two looks at most."""
QUIET: Final = 100.0
"""Lines a second below which traffic is low."""
_SOONEST: Final = 0.1


class Tended(Protocol):
    """What the upkeep knows of a writer."""

    @property
    def due_at(self) -> float:
        """When a rotation by time is due, in seconds since 1970; infinity for never."""

    def rotate_if_due(self) -> bool:
        """Rotate where that is due."""

    def clean(self) -> int:
        """Delete rotated files that may not be kept."""

    def compress(self) -> None:
        """Have rotated files compressed in the background."""

    def lines(self) -> int:
        """Lines that were given to the writer so far."""


class Upkeep:
    """What one writer needs while it is quiet.

    Rotation by time is done when it is due. Clean-up and deferred compression wait for low traffic, but no longer than
    twice the interval of clean-ups.

    Args:
        writer: The writer.
        interval: Seconds between two clean-ups.
        defers: True where compression waits for low traffic.
        clock: Seconds since 1970.
    """

    def __init__(
        self, writer: Tended, *, interval: float, defers: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._writer = writer
        self._interval = interval
        self._defers = defers
        self._clock = clock
        self._lines = writer.lines()
        self._looked = clock()
        self._clean_at = self._looked  # a process may not live as long as the interval

    def tend(self) -> float:
        """Do what is due; returns the seconds until something may be due again.

        Raises:
            OSError: A file or the folder could not be used.
        """
        now = self._clock()
        quiet = self._is_quiet(now)
        if now >= self._writer.due_at:
            self._writer.rotate_if_due()
        if self._defers and (quiet or now >= self._clean_at + self._interval):
            self._writer.compress()
        if now >= self._clean_at + (0.0 if quiet else self._interval):
            self._clean_at = now + self._interval
            self._writer.clean()
        due = self._writer.due_at - now
        return max(_SOONEST, min(LOOK, due if due > 0 else LOOK, self._clean_at - now if quiet else LOOK))

    def _is_quiet(self, now: float) -> bool:
        lines, since = self._writer.lines(), now - self._looked
        written, self._lines, self._looked = lines - self._lines, lines, now
        return written <= QUIET * max(1.0, since)


class Monitor:
    """The thread, and what it looks after.

    Args:
        announcer: Says what went wrong.
    """

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._begin()

    def attach(self, upkeep: Upkeep) -> bool:
        """Look after a writer from now on; False where there is no thread for that yet, and it is to be tried again."""
        with self._changed:
            self._due.setdefault(upkeep, time.monotonic())
            self._changed.notify()
            return self._background.start()

    def detach(self, upkeep: Upkeep) -> None:
        """Look after a writer no longer; the thread ends with the last one."""
        with self._changed:
            self._due.pop(upkeep, None)
            self._changed.notify()

    def forget_all(self) -> None:
        """Begin anew in a forked child: its writers attach themselves when they write."""
        self._begin()

    def _begin(self) -> None:
        lock = threading.RLock()  # re-entrant: a signal handler may close a writer
        self._changed = threading.Condition(lock)
        self._due: dict[Upkeep, float] = {}
        self._background = Background(self._run, THREAD, lock)

    def _run(self) -> None:
        while (upkeep := self._next()) is not None:
            pause = LOOK
            try:
                pause = upkeep.tend()
            except Exception as error:  # noqa: BLE001 - one writer's trouble must not end the upkeep of the others
                self._announcer.announce(f"upkeep {id(upkeep)}", f"upkeep of log files: {error}")
            with self._changed:
                if upkeep in self._due:
                    self._due[upkeep] = time.monotonic() + pause

    def _next(self) -> Upkeep | None:
        """Wait until one is due; None where there are no more."""
        with self._changed:
            while self._due:
                upkeep = min(self._due, key=lambda each: self._due[each])
                left = self._due[upkeep] - time.monotonic()
                if left <= 0:
                    return upkeep
                self._changed.wait(left)
            self._background.leave()
            return None


def upkeep_for(writer: Tended, settings: "FileSettings") -> Upkeep | None:
    """The upkeep that the settings of a writer ask for; None for none."""
    defers = settings.compression != "none" and not settings.compress_at_once
    if settings.when == "NEVER" and settings.retention_days is None and not defers:
        return None
    interval = settings.cleanup_interval if settings.retention_days is not None else math.inf
    return Upkeep(writer, interval=interval, defers=defers)


monitor: Final = Monitor(Announcer())
"""The one of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=monitor.forget_all)
