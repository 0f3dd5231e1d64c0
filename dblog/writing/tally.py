"""What became of a writer's records, by level, and which of it the table itself does not tell yet."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Losses:
    """Records that are not in the table, since the last time this was told there."""

    since: float
    """Seconds since the epoch at which the first of them was lost."""
    dropped: Mapping[int, int]
    printed: Mapping[int, int]
    rejected: Mapping[int, int]

    @property
    def records(self) -> int:
        """How many they are."""
        return sum(sum(levels.values()) for levels in (self.dropped, self.printed, self.rejected))


def add(counter: Counter[int], levels: Mapping[int, int]) -> None:
    """Add up without a call between reading and writing: a signal handler that logs may count something, too."""
    for level, count in levels.items():
        if level not in counter:
            counter[level] = 0
        counter[level] += count


class Tally:
    """Counts by level number; whoever changes more than one holds `lock`.

    Attributes:
        stored: Rows in the database.
        spooled: Records in the spool.
        batches: Batches delivered.
        known: Rows, of any writer, that the ledger knew when their batch was delivered.
        refused: Rows, of any writer, that PostgreSQL refused.
        failures: Tries that failed.
        last_error: Why the last try failed; None after a success.
        failing_since: Seconds since the epoch of the first failure after the last success; None after a success.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.stored: Counter[int] = Counter()
        self.spooled: Counter[int] = Counter()
        self.rejected: Counter[int] = Counter()
        self.printed: Counter[int] = Counter()
        self.dropped: Counter[int] = Counter()
        self.batches = 0
        self.known = 0
        self.refused = 0
        self.failures = 0
        self.last_error: str | None = None
        self.failing_since: float | None = None
        self._lost_since: float | None = None
        self._told: tuple[Counter[int], Counter[int], Counter[int]] = (Counter(), Counter(), Counter())

    def lose(
        self,
        *,
        dropped: Mapping[int, int] | None = None,
        printed: Mapping[int, int] | None = None,
        rejected: Mapping[int, int] | None = None,
        told: bool = True,
    ) -> None:
        """Count records that will not be in the table, which is to be told so unless `told` is False."""
        with self.lock:
            add(self.dropped, dropped or {})
            add(self.printed, printed or {})
            add(self.rejected, rejected or {})
            if told and self._lost_since is None:
                self._lost_since = time.time()

    def succeeded(self) -> None:
        """A batch was delivered."""
        with self.lock:
            self.batches += 1
            self.last_error = self.failing_since = None

    def failed(self, reason: str) -> None:
        """A try failed."""
        with self.lock:
            self.failures += 1
            self.last_error = reason
            if self.failing_since is None:
                self.failing_since = time.time()

    def has_losses(self) -> bool:
        """True where `take_losses` has something to give."""
        return self._lost_since is not None

    def take_losses(self) -> Losses | None:
        """What was lost since the last call; None where nothing was."""
        with self.lock:
            since, self._lost_since = self._lost_since, None
            now = (self.dropped.copy(), self.printed.copy(), self.rejected.copy())
            dropped, printed, rejected = (current - told for current, told in zip(now, self._told, strict=True))
            self._told = now
        losses = Losses(since or 0.0, dropped, printed, rejected)
        return losses if losses.records else None
