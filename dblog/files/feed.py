"""From an encoded line to the outlet: one buffer, and one turn at a time.

Whoever has a line puts it into the buffer and, where it is time, takes the lock and writes everything that waits there.
A thread that finds its line written by another one has nothing left to do. The lock is re-entrant: what a signal
handler or a `__del__` logs in the middle of a write stays in the buffer, and the write that was interrupted sees to it.
"""

import logging
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import TypeVar

from dblog.files.buffer import LineBuffer
from dblog.files.flusher import Flusher
from dblog.files.outlet import SYNC_INTERVAL, Outlet
from dblog.files.settings import FileSettings
from dblog.files.turn import FOREVER, Turn
from dblog.locks import acquire
from dblog.selflog import Announcer

T = TypeVar("T")

_logger = logging.getLogger("dblog.files")


class Feed:
    """Takes lines from any number of threads and has one thread at a time use the outlet.

    Args:
        settings: The writer's settings.
        outlet: Where lines go.
        turn: Whose turn it is to use the outlet.
        attend: Called after the first lines that were written in this process.
        announcer: Tells what went wrong in the background.

    Attributes:
        buffer: The lines that wait.
        closed: True after `close`; the outlet is closed after each line then.
        writing_since: When the latest block of lines began to be written, in monotonic seconds; 0 before the first.
    """

    def __init__(
        self,
        settings: FileSettings,
        outlet: Outlet,
        turn: Turn,
        attend: Callable[[], bool],
        announcer: Announcer,
    ) -> None:
        self.closed = False
        self._settings = settings
        self._outlet = outlet
        self._archive = outlet.archive
        self._state = outlet.standby.state
        self._turn = turn
        self._attend = attend
        self._announcer = announcer
        self._begin()

    def _begin(self) -> None:
        settings = self._settings
        self.buffer = LineBuffer(settings.buffer_size, settings.max_concurrent_writes)
        interval = settings.flush_interval if settings.buffer_size else SYNC_INTERVAL
        self._flusher = Flusher(self._flush_in_background, interval)
        self.writing_since = 0.0
        self._attended = False
        self._telling = False

    def restart_after_fork(self) -> None:
        """Begin anew in a child: what waits is the parent's."""
        self._turn.restart_after_fork()
        self._begin()

    def close(self) -> None:
        """Let whoever drains from now on close the outlet, and end the thread that flushes."""
        self.closed = True
        self._flusher.end()

    def write_now(self, line: bytes, urgent: bool) -> None:
        """Take a line, and write it before this returns."""
        if self._state.is_degraded and self._outlet.diverts(line):
            return
        self.buffer.put(line)
        self.drain()

    def write_later(self, line: bytes, urgent: bool) -> None:
        """Take a line that may wait in the buffer, unless it is urgent."""
        if self._state.is_degraded and self._outlet.diverts(line):
            return
        buffer = self.buffer
        if buffer.size >= buffer.block_size and not self._make_room():
            return
        full = buffer.put(line)
        if not self._flusher.awake and not self._flusher.wake():
            urgent = True
        if urgent or self.closed:  # closed by another thread since this one began: nobody else would write the line
            self.drain()
        elif full:
            self.drain(0.0)

    def perform(self, action: Callable[[], T]) -> T | None:
        """Write what waits, then do something with the outlet while nobody else uses it; None where this thread does.

        Raises:
            Exception: What the action raises.
        """
        outcome: list[T] = []
        self.drain(FOREVER, lambda: outcome.append(action()))
        return outcome[0] if outcome else None

    def drain(self, timeout: float = FOREVER, then: Callable[[], object] | None = None) -> bool:
        """Write what waits, once its turn comes within `timeout` seconds; False where that was not possible."""
        lock = self._turn.lock
        held: list[bool] = []
        try:
            if not acquire(lock, held, timeout=timeout):
                return False
            done = self._take_turn(then)
        finally:
            if True in held:
                lock.release()
        if self._archive.events:
            self._tell_events()
        return done

    def _make_room(self) -> bool:
        """See to it that a line finds room in a full buffer; False where it is to be dropped."""
        if not self.buffer.overflows(monotonic() - self.writing_since):
            return True
        # Each is one step to the interpreter: counted without the lock, which the thread that writes has.
        self._outlet.counts.overflows += 1
        if self._settings.overflow == "drop":
            self._outlet.counts.dropped += 1
            return False
        self.drain()
        return True

    def _take_turn(self, then: Callable[[], object] | None) -> bool:
        """Use the files, with the lock; False where this thread does so already, further down its stack.

        A signal handler may raise wherever a function begins or a call ends, so the end of a turn is neither.
        """
        turn = self._turn
        if turn.taken:
            turn.missed = True
            return False
        missed = True
        while missed:
            try:
                turn.taken, turn.missed = True, False
                self._write_out()
                if then is not None:
                    then()
            finally:
                turn.taken = False
            missed, then = turn.missed, None
        return True

    def _write_out(self) -> None:
        buffer, outlet = self.buffer, self._outlet
        if buffer.lines:
            began = perf_counter()
            self.writing_since = monotonic()
            outlet.placed = 0
            try:
                outlet.put(buffer.take())
            finally:
                del buffer.lines[: outlet.placed]  # in place, without a call: see `_take_turn`
                buffer.in_hand = 0
            outlet.counts.flushed(perf_counter() - began)
            if outlet.unsynced and not self._flusher.awake:
                self._flusher.wake()
            if not self._attended:
                self._attended = self._attend()
        if self.closed:
            outlet.close()

    def _flush_in_background(self) -> None:
        try:
            if self.perform(self._outlet.sync) is False:
                self._flusher.wake()
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever happens to one block
            self._announcer.announce("flusher", f"unexpected {type(error).__name__} while writing: {error}")

    def _tell_events(self) -> None:
        """Log what was rotated, without any lock; a rotation that this brings about is not worth another line."""
        events, self._archive.events = self._archive.events, []
        if not self._telling:
            self._telling = True
            try:
                for event in events:
                    _logger.info(event)
            finally:
                self._telling = False
