"""What dblog itself has to say: one line on stderr, and the same line not again within a minute.

It goes to the file descriptor, past `sys.stderr` (which may be a logger) and past `logging` (which may be this
library), and never waits longer than a moment for a terminal or pipe that nobody reads.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2
STALL_LIMIT: Final = 0.05
"""Seconds to wait for a stalled stderr."""
_PAUSE: Final = 60.0
_CHUNK: Final = 512  # POSIX guarantees that a pipe that polls as writable takes PIPE_BUF bytes, at least 512


def write_lines(data: bytes, deadline: float, fd: int | None = None) -> int:
    """Write to stderr or `fd` until `deadline` (of `time.monotonic()`); returns the number of bytes written."""
    if fd is None:
        fd = STDERR
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    written = 0
    while written < len(data):
        remaining = deadline - time.monotonic()
        try:
            events = poller.poll(max(0.0, remaining) * 1000)
            if not events or events[0][1] & (select.POLLERR | select.POLLNVAL):
                break
            written += os.write(fd, data[written : written + _CHUNK])
        except OSError:  # nobody takes it; `poll` itself fails where the process may not have a single descriptor
            break
    return written


class Announcer:
    """Says things once a minute at most for each topic, and how often they happened in between.

    Args:
        name: Stands in front of each line.
        clock: Monotonic seconds.
    """

    def __init__(self, name: str = "dblog", clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.RLock()
        self._said: dict[str, tuple[float, int]] = {}

    def announce(self, topic: str, text: str) -> bool:
        """Write `text` and return True, unless `topic` was announced within the last minute."""
        with self._lock:
            now = self._clock()
            last, silent = self._said.get(topic, (float("-inf"), 0))
            if now - last < _PAUSE:
                self._said[topic] = (last, silent + 1)
                return False
            self._said[topic] = (now, 0)
        repeated = f" ({silent} more times in between)" if silent else ""
        line = f"{self._name}: {text}{repeated}\n".encode("utf-8", "backslashreplace")
        write_lines(line, time.monotonic() + STALL_LIMIT)
        return True

    def forget(self, topic: str) -> None:
        """Let the next announcement of `topic` through at once: its cause was gone in between."""
        with self._lock:
            self._said.pop(topic, None)
