"""The figures of a handler, as one frozen snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Levels = Mapping[int, int]
"""Records by level number."""

State = Literal["idle", "connected", "retrying", "circuit open", "closed"]


@dataclass(frozen=True, slots=True)
class HandlerStats:
    """What became of the records of a handler.

    For each level, in a quiet moment::

        emitted == stored + spooled + rejected + printed + dropped + waiting
    """

    emitted: Levels
    """Records that the application logged."""
    stored: Levels
    """Rows in the database."""
    spooled: Levels
    """Records in the local spool, on their way to the database."""
    rejected: Levels
    """Rows that PostgreSQL refused, and those that waited too long: set aside in the spool, or printed without one."""
    printed: Levels
    """Records that went to stderr, because nothing else could take them."""
    dropped: Levels
    """Records that were given up where room got scarce, or by a stderr that nobody reads."""
    waiting: Levels
    """Records in the queue, or in a batch that is being delivered."""
    queue_bytes: int
    """Memory of the waiting records, in bytes, to 16 KiB for each thread that logs, 128 KiB at most."""
    batches: int
    """Batches delivered."""
    failures: int
    """Tries that failed."""
    repaired: int
    """Values that had to be changed to be storable; the names of a call site or a thread count once."""
    state: State
    """How the connection is doing."""
    last_error: str | None
    """Why the last try failed; None after a success."""
    uptime: float
    """Seconds since the handler was made."""
    writer_id: str
    """The writer's UUID, as the table has it."""
    compiled: bool
    """True where `dblog-speedups` takes ordinary records."""

    @property
    def flush_rate(self) -> float:
        """Batches delivered a second, over the handler's life."""
        return self.batches / self.uptime if self.uptime else 0.0

    @property
    def error_rate(self) -> float:
        """The share of tries that failed, from 0 to 1."""
        tries = self.batches + self.failures
        return self.failures / tries if tries else 0.0

    @property
    def fallback_rate(self) -> float:
        """The share of records that the database did not take at the first go, from 0 to 1."""
        emitted = sum(self.emitted.values())
        fallen = sum(sum(levels.values()) for levels in (self.spooled, self.printed, self.rejected, self.dropped))
        return fallen / emitted if emitted else 0.0
