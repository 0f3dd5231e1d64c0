"""For how long records are kept, and which partitions may go for that: functions without input or output.

A logger that has a number of days of its own, or the nearest logger above it that has one, counts before a level, and a
level before `retention_days`.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from dblog import defaults
from dblog.settings import KeepingSettings
from dblog.store.partitions import Partition

LEDGER: Final = timedelta(days=defaults.LEDGER_KEEP_DAYS)
"""As long as an undelivered batch may still come."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """The moments before which records of one partition may go."""

    loggers: tuple[tuple[str, datetime], ...]
    """Of these loggers and those below them; the longest name first, because the first that fits counts."""
    levels: tuple[tuple[int, datetime], ...]
    """Of other loggers, by the number of the level."""
    others: datetime

    @property
    def latest(self) -> datetime:
        """The moment from which nothing may go."""
        return max((self.others, *(cut for _, cut in (*self.loggers, *self.levels))))

    @property
    def digest(self) -> str:
        """A short text that is another one as soon as anything of this is."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept for how long."""

    days: int
    """Days for everything that has no number of its own."""
    levels: Mapping[int, int] = field(default_factory=dict)
    """Days by the number of a level, and of no other level."""
    loggers: Mapping[str, int] = field(default_factory=dict)
    """Days by the name of a logger, for it and those below it."""
    max_bytes: int | None = None
    """Bytes that the partitions may take together; None for no limit."""

    @property
    def longest(self) -> timedelta:
        """The age at which nothing is kept any more."""
        return timedelta(days=max((self.days, *self.levels.values(), *self.loggers.values())))

    def cuts(self, start: datetime, end: datetime, now: datetime) -> Cuts:
        """What may go of a partition with these bounds.

        A cut between them is the beginning of a day in UTC, so that rows are not looked for anew with each run. What is
        kept longest goes with the whole partition only.
        """

        def cut(days: int) -> datetime:
            age = timedelta(days=days)
            moment = now.astimezone(UTC) - age
            if moment >= end:
                return end
            midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
            return start if age == self.longest else max(start, midnight)

        return Cuts(
            loggers=tuple((name, cut(self.loggers[name])) for name in sorted(self.loggers, key=len, reverse=True)),
            levels=tuple((level, cut(days)) for level, days in sorted(self.levels.items())),
            others=cut(self.days),
        )


def policy_of(settings: KeepingSettings) -> Policy:
    """What the configuration asks for."""
    own = settings.retention
    return Policy(settings.retention_days, own.levels, own.loggers, settings.max_bytes)


def expired(partitions: Iterable[Partition], now: datetime, policy: Policy) -> tuple[Partition, ...]:
    """The partitions of dblog's own making whose last moment is older than all that is kept."""
    keep = {"logs": policy.longest, "batches": LEDGER}
    return tuple(
        part for part in partitions if part.ours and part.end is not None and part.end <= now - keep[part.table]
    )


def affected(partitions: Iterable[Partition], now: datetime, policy: Policy) -> tuple[tuple[Partition, Cuts], ...]:
    """The partitions of the records of which a part may go, and not yet the whole."""
    found = []
    for part in partitions:
        if part.table != "logs" or not part.ours or part.detaching or part.start is None or part.end is None:
            continue
        cuts = policy.cuts(part.start, part.end, now)
        if part.start < cuts.latest and part.end > now - policy.longest:
            found.append((part, cuts))
    return tuple(found)


def is_excessive(partitions: Collection[Partition], due: Iterable[Partition], now: datetime) -> bool:
    """Whether more than two, and more than half, of the records' partitions would go: a number may be wrong.

    Those that were made ahead have nothing to lose, and do not count.
    """
    total = sum(part.table == "logs" and (part.start is None or part.start <= now) for part in partitions)
    going = sum(part.table == "logs" for part in due)
    return going > 2 and going * 2 > total
