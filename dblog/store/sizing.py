"""How large the tables are, how fast they grow, and what has to go for a limit: functions without input or output."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from dblog.store.partitions import Partition
from dblog.store.policy import LEDGER, Policy

DAY: Final = timedelta(days=1)
HORIZON: Final = 3650
"""Days that a forecast looks ahead."""


def total_bytes(partitions: Iterable[Partition]) -> int:
    """What partitions take on disk, with their indexes."""
    return sum(part.size for part in partitions)


def oversize(partitions: Iterable[Partition], now: datetime, max_bytes: int) -> tuple[Partition, ...]:
    """The oldest partitions of the records that have to go so that what is left takes no more than `max_bytes`.

    Nothing that still fills goes, and nothing of the ledger, though it counts.
    """
    known = tuple(partitions)
    over = total_bytes(known) - max_bytes
    found = []
    closed = [part for part in known if part.table == "logs" and part.ours and part.end is not None and part.end <= now]
    for part in sorted(closed, key=lambda part: (part.end, part.name)):
        if over <= 0:
            break
        found.append(part)
        over -= part.size
    return tuple(found)


def daily_bytes(partitions: Iterable[Partition], now: datetime) -> float:
    """The bytes of the last 24 hours, where each partition fills evenly from its beginning to its end, or to now."""
    growth = 0.0
    for part in partitions:
        if part.start is None or part.end is None or part.start >= now:
            continue
        until = min(part.end, now)
        recent = until - max(part.start, now - DAY)
        if recent > timedelta(0):
            growth += part.size * (recent / (until - part.start))
    return growth


def forecast(partitions: Collection[Partition], now: datetime, policy: Policy) -> int | None:
    """In how many days `max_bytes` is exceeded at the rate of the last 24 hours, 0 where it is now.

    What expires by age until then is taken off.

    Returns:
        None where there is no limit, or where it is not reached within ten years.
    """
    if policy.max_bytes is None:
        return None
    keep = {"logs": policy.longest, "batches": LEDGER}
    rate = {table: daily_bytes((part for part in partitions if part.table == table), now) for table in keep}
    leaves = [(part.end - now + keep[part.table], part.size) for part in partitions if part.end is not None]
    total = total_bytes(partitions)
    for days in range(HORIZON + 1):
        grown = sum(rate[table] * min(days, keep[table] / DAY) for table in keep)
        gone = sum(size for left, size in leaves if left <= days * DAY)
        if total + grown - gone > policy.max_bytes:
            return days
    return None
