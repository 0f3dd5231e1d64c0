"""What a partition holds, and at which distances from now there should be one."""

from datetime import timedelta
from typing import Literal

from dblog import defaults

PartitionBy = Literal["hour", "day", "week", "month"]

STEPS: dict[PartitionBy, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),
}


def offsets_ahead(granularity: PartitionBy, ahead: int) -> tuple[timedelta, ...]:
    """The distances from now at which there should be partitions: `ahead` periods, within the window of the future.

    The ledger has a partition a day, so coarser granularities look at each of the next `ahead` days, too.
    """
    last = timedelta(days=defaults.FUTURE_WINDOW_DAYS)
    steps = {STEPS[granularity]} | ({STEPS["day"]} if granularity in ("week", "month") else set())
    return tuple(sorted({step * count for step in steps for count in range(ahead + 1) if step * count <= last}))
