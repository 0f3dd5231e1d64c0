"""Whether a file can be written, what has failed, and when it is worth another try: decisions without input or output.

Whoever writes tells what failed and what succeeded; whoever recovers asks when to try. Tests do both with a clock of
their own.
"""

import errno
import time
from collections.abc import Callable
from typing import Final

from dblog import disk

TRIES: Final = 5
"""Quick tries after an error that may pass: after 100, 200, 400, 800 and 1600 ms."""
FIRST_PAUSE: Final = 0.1
FAILURES_THAT_OPEN: Final = 10
"""Failures in a row that open the circuit: from then on only the timer tries."""
_LASTING: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EFBIG,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENXIO,
        errno.ENODEV,
    }
)
"""Somebody has to act: trying again at once is of no use."""


class DiskState:
    """The state of one file; its owner holds a lock where it is changed, anybody may look.

    Args:
        check_interval: Seconds between two tries by the timer.
        clock: Monotonic seconds.
        wall: Seconds since 1970.

    Attributes:
        is_degraded: True while lines go elsewhere.
        error: The last error; None where there was none.
        error_count: Operations that failed, tries included.
        last_error_time: When the last one failed, in seconds since 1970; None where none has.
        recovery_attempts: Times that a degraded file was tried again.
        failures: Failures in a row, with no line written in between.
    """

    def __init__(
        self,
        check_interval: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.is_degraded = False
        self.error: OSError | None = None
        self.error_count = 0
        self.last_error_time: float | None = None
        self.recovery_attempts = 0
        self.failures = 0
        self._interval = check_interval
        self._clock = clock
        self._wall = wall
        self._tries = 0
        self._since = 0.0
        self._next_try = 0.0

    @property
    def circuit_open(self) -> bool:
        """True after ten failures without a line written in between: only the timer tries until one is."""
        return self.failures >= FAILURES_THAT_OPEN

    @property
    def is_full(self) -> bool:
        """True where what failed last wanted room."""
        return self.error is not None and disk.is_full(self.error)

    @property
    def downtime(self) -> float:
        """Seconds since the file could be written last; 0 where it can."""
        return self._clock() - self._since if self.is_degraded else 0.0

    def failed(self, error: OSError) -> bool:
        """Something failed; returns True where that is news, False where the file was degraded before."""
        news = not self.is_degraded
        if news:
            self.is_degraded = True
            self._since = self._clock()
            self._tries = 0
        self.error = error
        self.error_count += 1
        self.failures += 1
        self.last_error_time = self._wall()
        self._next_try = self._clock() + self._pause(error)
        return news

    def refused(self) -> None:
        """A line was not written because of a limit of our own: an error, and no sign of what the disk can do."""
        self.error_count += 1
        self.last_error_time = self._wall()

    def postponed(self) -> None:
        """A try found that there is still no room: the next one comes with the timer."""
        self._next_try = self._clock() + self._interval

    def trying(self) -> None:
        """A degraded file is tried again."""
        self.recovery_attempts += 1
        self._tries += 1

    def until_next_try(self) -> float:
        """Seconds until a degraded file should be tried; 0 where that is now."""
        return max(0.0, self._next_try - self._clock())

    def try_now(self) -> None:
        """Let the next try come at once."""
        self._next_try = self._clock()

    def recovered(self) -> float:
        """The file can be written again; returns the seconds for which it could not."""
        downtime = self.downtime
        self.is_degraded = False
        return downtime

    def wrote(self) -> None:
        """A line was written: whatever fails next is the first failure."""
        self.failures = 0

    def _pause(self, error: OSError) -> float:
        if disk.is_full(error):
            return 0.0 if self.failures == 1 else self._interval  # at first the clean-up may have made room
        if self.circuit_open or self._tries >= TRIES or error.errno in _LASTING:
            return self._interval
        return min(self._interval, FIRST_PAUSE * 2.0**self._tries)
