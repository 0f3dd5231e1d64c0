"""Which partitions are archived: a function of what there is, the clock and the wish."""

from collections.abc import Collection, Iterable
from datetime import date, datetime

from dblog.archive.relation import midnight
from dblog.errors import UsageError
from dblog.store.partitions import Partition


def choose(
    partitions: Iterable[Partition], now: datetime, *, before: date | None = None, named: Collection[str] = ()
) -> tuple[Partition, ...]:
    """The partitions of the records that are over, or those that were named.

    Args:
        partitions: All that there are.
        now: By the clock of the server.
        before: Only those whose last moment is before this UTC day.
        named: Only these, whether or not they are over.

    Raises:
        UsageError: A name is none of a partition of the records.
    """
    logs = [part for part in partitions if part.table == "logs"]
    unknown = sorted(set(named) - {part.name for part in logs})
    if unknown:
        raise UsageError(f"--partition: {unknown[0]!r} is no partition of the records; `dblog stats` lists them")
    if named:
        return tuple(part for part in logs if part.name in named)
    end = now if before is None else min(now, midnight(before))
    return tuple(part for part in logs if part.ours and part.end is not None and part.end <= end)
