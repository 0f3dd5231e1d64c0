"""What a partition holds, at which distances from now there should be one, and which days the ledger remembers."""

from datetime import UTC, date, datetime, timedelta
from typing import Literal

from dblog import defaults

PartitionBy = Literal["hour", "day", "week", "month"]

STEPS: dict[PartitionBy, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),
}


def end_of(granularity: PartitionBy, moment: datetime) -> datetime:
    """The first moment after the UTC hour, day, ISO week or month that holds a moment."""
    moment = moment.astimezone(UTC)
    if granularity == "hour":
        return moment.replace(minute=0, second=0, microsecond=0) + STEPS["hour"]
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if granularity == "day":
        return midnight + STEPS["day"]
    if granularity == "week":
        return midnight - timedelta(days=midnight.weekday()) + STEPS["week"]
    return (midnight.replace(day=1) + STEPS["month"]).replace(day=1)


def offsets_ahead(granularity: PartitionBy, ahead: int) -> tuple[timedelta, ...]:
    """The distances from now at which there should be partitions: `ahead` periods, within the window of the future.

    The ledger has a partition a day, so coarser granularities look at each of the next `ahead` days, too.
    """
    last = timedelta(days=defaults.FUTURE_WINDOW_DAYS)
    steps = {STEPS[granularity]} | ({STEPS["day"]} if granularity in ("week", "month") else set())
    return tuple(sorted({step * count for step in steps for count in range(ahead + 1) if step * count <= last}))


def reach_ahead(granularity: PartitionBy, ahead: int) -> tuple[timedelta, timedelta]:
    """How far from now the partitions of the records go, and those of the ledger, which hold a day each."""
    records = max(offsets_ahead(granularity, ahead))
    return records, min(records, max(offsets_ahead("day", ahead)))


def is_remembered(birth_day: str, today: date) -> bool:
    """True where the ledger has a place for batches of a day: not too old, and not far ahead, by a wrong clock.

    A day of margin is left on either side for clocks that differ.

    Args:
        birth_day: The UTC day, `YYYY-MM-DD`.
        today: The current UTC day.
    """
    oldest, latest = (
        today - timedelta(days=defaults.LEDGER_KEEP_DAYS - 1),
        today + timedelta(days=defaults.FUTURE_WINDOW_DAYS - 1),
    )
    return oldest.isoformat() < birth_day < latest.isoformat()
