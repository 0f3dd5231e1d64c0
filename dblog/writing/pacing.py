"""When a batch is due, when to try again and whether the circuit is open: decisions without input or output.

The worker tells the time and the outcomes and asks; tests do the same with a clock of their own.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dblog.defaults import URGENT_INTERVAL
from dblog.faults import Fault

TRIES: Final = 5
"""Failures in a row after which the circuit opens and batches go to the spool without a try."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = {Fault.UNREACHABLE: 10.0, Fault.OPERATOR: 30.0}


@dataclass(slots=True)
class Pacing:
    """The policy of one worker; all times are monotonic seconds.

    Args:
        batch_size: Records that make a batch full.
        batch_bytes: Bytes that make a batch full.
        flush_interval: Seconds that the oldest record of a batch may wait.
        jitter: Gives numbers from 0 to 1; they keep many processes from reconnecting in step.
    """

    batch_size: int
    batch_bytes: int
    flush_interval: float
    jitter: Callable[[], float] = random.random
    failures: int = 0
    next_try: float = 0.0

    def due_at(self, oldest: float, *, count: int, size: int, urgent: bool) -> float:
        """The time at which a batch is due whose oldest record was seen at `oldest`; 0 where it is full."""
        if count >= self.batch_size or size >= self.batch_bytes:
            return 0.0
        return oldest + (min(URGENT_INTERVAL, self.flush_interval) if urgent else self.flush_interval)

    def may_try(self, now: float) -> bool:
        """False while the pause after a failure lasts; a single try at its end is the probe of an open circuit."""
        return now >= self.next_try

    @property
    def circuit_open(self) -> bool:
        """True once the database has failed too often for a batch to wait in memory."""
        return self.failures >= TRIES

    def succeeded(self) -> None:
        """A batch was delivered."""
        self.failures = 0
        self.next_try = 0.0

    def failed(self, fault: Fault, now: float) -> None:
        """A try failed: double the pause, up to 10 s, or 30 s where somebody has to act first."""
        self.failures += 1
        longest = _LONGEST_PAUSE.get(fault, _LONGEST_PAUSE[Fault.OPERATOR])
        pause = min(longest, _FIRST_PAUSE * 2 ** min(self.failures - 1, 16))
        self.next_try = now + pause * (0.5 + 0.5 * self.jitter())
