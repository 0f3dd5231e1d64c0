"""One log file for any number of threads: what can be done with it, and its life from the first line to the last."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic
from typing import Final, TypeVar

from dblog import defaults, processes
from dblog.files.encoding import LineEncoding
from dblog.files.feed import Feed
from dblog.files.fulldisk.fallback import TextStream
from dblog.files.fulldisk.notify import StateChange
from dblog.files.metrics import FileMetrics
from dblog.files.monitor import monitor, upkeep_for
from dblog.files.outlet import Outlet
from dblog.files.rotated.moving import Rotator
from dblog.files.rotated.rotation import Namer
from dblog.files.settings import FileSettings
from dblog.files.turn import FOREVER, Turn
from dblog.selflog import Announcer

_LONGEST_END: Final = 5.0
"""Seconds that `close` without a limit gives the threads that look after a disk or tell of it."""

T = TypeVar("T")


class FileWriter:
    """Writes lines into a log file from any number of threads.

    Args:
        settings: All about the file. It is opened by the first line, or by `open`.
        fallback: Takes lines while the file cannot; None for the stream that the settings name.
        on_state_change: Called, in a thread of its own, when the file cannot be written any more, or can be again.

    Attributes:
        write: Takes an encoded line with its end, and True where it is not to wait in the buffer.
        outlet: The file and what belongs to it.
    """

    close_timeout = defaults.CLOSE_TIMEOUT
    """Seconds that the end of the process gives `close`."""

    write: Callable[[bytes, bool], None]

    def __init__(
        self,
        settings: FileSettings,
        *,
        fallback: TextStream | None = None,
        on_state_change: Callable[[StateChange], object] | None = None,
    ) -> None:
        self.settings = settings
        self.encoding = LineEncoding(settings.encoding, settings.errors)
        self._announcer = Announcer()
        self._turn = Turn(lambda: self._feed.drain())  # noqa: PLW0108 - the feed is made after its turn
        self.outlet = Outlet(
            settings,
            self.encoding,
            self._announcer,
            self._turn,
            fallback=fallback,
            on_state_change=on_state_change,
        )
        self._archive = self.outlet.archive
        self._feed = Feed(settings, self.outlet, self._turn, self._attend, self._announcer)
        self._begin()
        processes.register(self, hold=settings.buffer_size > 0)

    def _begin(self) -> None:
        feed = self._feed
        self.write = feed.write_later if self.settings.buffer_size and not feed.closed else feed.write_now
        self._upkeep = upkeep_for(self, self.settings)

    @property
    def closed(self) -> bool:
        """True after `close`; a line that comes later opens the file for itself alone."""
        return self._feed.closed

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Makes other threads wait that want to write; the thread that has it may write, rotate and all else."""
        return self._turn.lock

    @property
    def due_at(self) -> float:
        """When a rotation by time is due, in seconds since 1970; infinity for never."""
        self._feed.perform(self._archive.start)
        return self._archive.rotation.due_at

    @due_at.setter
    def due_at(self, moment: float) -> None:
        self._feed.perform(self._archive.start)
        self._archive.rotation.due_at = moment

    @property
    def size(self) -> int:
        """Bytes in the file, and those that wait for it."""
        return self.outlet.live.size + self._feed.buffer.size

    def open(self) -> None:
        """Open the file now.

        Raises:
            OSError: It cannot be opened, and the disk being full is not the reason.
        """
        self._feed.perform(self.outlet.open_or_degrade)

    def flush(self, timeout: float | None = None) -> bool:
        """Write what waits; True where it was done within `timeout` seconds (None: however long it takes)."""
        return self._feed.drain(FOREVER if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX))

    def close(self, timeout: float | None = None) -> None:
        """Write what waits, close the file and end the threads, in `timeout` seconds, or however long it takes."""
        deadline = None if timeout is None else monotonic() + timeout
        self.write = self._feed.write_now
        self._feed.close()
        if self._upkeep is not None:
            monitor.detach(self._upkeep)
        if not self.flush(timeout) and self._feed.buffer.lines and self._turn.is_elsewhere():
            self._announcer.announce(
                "close", f"{self.outlet.live.path}: {len(self._feed.buffer.lines)} lines wait for the disk"
            )
        self.outlet.end(_LONGEST_END if deadline is None else max(0.0, deadline - monotonic()))
        processes.forget(self)

    def release(self) -> None:
        """Write what waits and close the file; the next line opens it again."""
        self._feed.perform(self.outlet.close)

    def rotate(self) -> bool:
        """Rotate now; False where the file is empty, could not be put away, or no new one can be opened."""
        return self._feed.perform(lambda: self.outlet.attempt(self._archive.rotate)) or False

    def rotate_if_due(self) -> bool:
        """Rotate where that is due by time; False where it is not, or could not be done."""
        outlet, archive = self.outlet, self._archive
        if self.closed or outlet.standby.state.is_degraded:
            return False
        return self._feed.perform(lambda: outlet.attempt(archive.rotate_if_due)) or False

    def clean(self) -> int:
        """Delete rotated files that are too many, too old or too much; returns how many.

        Raises:
            OSError: The folder could not be read.
        """
        return self._feed.perform(self._archive.clean) or 0

    def surplus(self) -> list[str]:
        """The paths of the rotated files that are more than the settings let be kept, the oldest first."""
        return self._feed.perform(self._archive.surplus) or []

    def compress(self) -> None:
        """Have the rotated files compressed that are not yet, in the background."""
        self._feed.perform(self._archive.compress)

    def is_due(self, extra: int) -> bool:
        """True where the file has to be rotated before `extra` more bytes are written."""
        return self._feed.perform(lambda: self._archive.is_due(extra)) or False

    def use_hooks(self, namer: Namer | None, rotator: Rotator | None) -> None:
        """Take hooks like those of the standard library from now on."""
        self._feed.perform(lambda: self._archive.rotation.use(namer, rotator))

    def lines(self) -> int:
        """Lines that were written in this process."""
        return self.outlet.counts.lines_written

    def metrics(self) -> FileMetrics:
        """The figures of this process."""
        standby = self.outlet.standby
        return self.outlet.counts.snapshot(
            state="closed" if self.closed else "degraded" if standby.state.is_degraded else "normal",
            waiting=len(self._feed.buffer.lines),
            rotation=self._archive.rotation,
            fallback=standby.fallback,
            cleanup=standby.cleanup,
        )

    def restart_after_fork(self) -> None:
        """Begin anew in the child: what waits is the parent's."""
        self._feed.restart_after_fork()
        self.outlet.restart_after_fork()
        self._begin()

    def _attend(self) -> bool:
        """Have the file looked after while it is quiet; False where that has to be tried again."""
        return self._upkeep is None or self.closed or monitor.attach(self._upkeep)
