"""Where lines go that the file does not take: stderr, stdout or a text stream, without waiting for a reader."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal, Protocol

from dblog.selflog import STALL_LIMIT, STDOUT, write_lines

_LONGEST: Final = 1.0
"""Seconds that a single line may take, however steadily a slow reader takes it."""


class TextStream(Protocol):
    """What is needed of a stream object."""

    def write(self, text: str, /) -> object:
        """Take some text."""

    def flush(self) -> object:
        """Hand on what was taken."""


class Shown(bytes):
    """A line whose record stands on the console already, so that the fallback need not print it again."""

    __slots__ = ()


class Fallback:
    """Prints lines, whole and in order; what cannot be printed is counted.

    A stream that nobody reads costs one thread a moment; from then on no time is spent on waiting until it takes
    lines again.

    Args:
        stream: `stderr` or `stdout`, by descriptor and in UTF-8; or an object to which text is written.
        encoding: How the lines are encoded.

    Attributes:
        printed: Lines that the stream took.
        shown: Lines that were left out because the console had them.
        lost: Lines that the stream did not take.
    """

    def __init__(self, stream: Literal["stderr", "stdout"] | TextStream = "stderr", encoding: str = "utf-8") -> None:
        self._fd = STDOUT if stream == "stdout" else None
        self._stream = None if isinstance(stream, str) else stream
        self._encoding = encoding
        self.restart_after_fork()

    def restart_after_fork(self) -> None:
        """Begin anew in a child: what waits is the parent's, and the lock may be held by a thread that is not here."""
        self.printed = self.shown = self.lost = 0
        self._waiting: deque[bytes] = deque()
        self._lock = threading.RLock()
        self._owner = 0
        self._stalled = False
        self._torn = False

    def print(self, lines: Sequence[bytes]) -> None:
        """Print lines; never raises an Exception.

        What a signal handler has to print while its thread is in the middle of a line comes after that line. What the
        stream object itself logs while it is written to cannot go there, too, and is counted as lost.
        """
        if self._owner == threading.get_ident():
            if self._stream is None:
                self._waiting.extend(lines)
            else:
                self.lost += len(lines)
            return
        self._waiting.extend(lines)
        while self._waiting:  # also what a signal handler added when the last line was through
            with self._lock:
                self._owner = threading.get_ident()
                try:
                    self._print_what_waits()
                finally:
                    self._owner = 0

    def _print_what_waits(self) -> None:
        while self._waiting:
            line = self._waiting.popleft()
            try:
                if isinstance(line, Shown):
                    self.shown += 1
                elif self._write(line) if self._stream is None else self._hand_over(line, self._stream):
                    self.printed += 1
                else:
                    self.lost += 1
            except BaseException:  # what a signal handler raises
                self.lost += 1
                raise

    def _hand_over(self, line: bytes, stream: TextStream) -> bool:
        try:
            stream.write(line.decode(self._encoding, "backslashreplace"))
            stream.flush()
        except Exception:  # noqa: BLE001 - a stream of the application's; whatever is wrong with it, logging goes on
            return False
        return True

    def _write(self, line: bytes) -> bool:
        if self._encoding != "utf-8":
            line = line.decode(self._encoding, "backslashreplace").encode("utf-8", "backslashreplace")
        if self._torn:
            line = b"\n" + line
        end = time.monotonic() + (0.0 if self._stalled else _LONGEST)
        done = 0
        while done < len(line):
            written = write_lines(line[done:], min(end, time.monotonic() + STALL_LIMIT), self._fd)
            done += written
            if not written:
                break
        self._stalled = done < len(line)
        if done:
            self._torn = self._stalled
        return not self._stalled
