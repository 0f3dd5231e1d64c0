"""What a partition holds, how far ahead of now there should be some, and which days the ledger remembers."""

from collections.abc import Iterator
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


def reach_ahead(granularity: PartitionBy, ahead: int) -> tuple[timedelta, timedelta]:
    """How far from now the partitions of the records go, and those of the ledger, which hold a day each.

    `ahead` periods, within the window of the future; of weeks and months at least as many days.
    """
    periods, days = (_reach(step, ahead) for step in (STEPS[granularity], STEPS["day"]))
    records = periods if granularity == "hour" else max(periods, days)
    return records, min(records, days)


def _reach(step: timedelta, ahead: int) -> timedelta:
    return step * min(ahead, timedelta(days=defaults.FUTURE_WINDOW_DAYS) // step)


def moments_ahead(granularity: PartitionBy, ahead: int, now: datetime) -> tuple[datetime, ...]:
    """A moment in each partition of the records and of the ledger that there should be, from now on."""
    records, ledger = reach_ahead(granularity, ahead)
    return tuple(sorted({*_moments(granularity, now, now + records), *_moments("day", now, now + ledger)}))


def _moments(granularity: PartitionBy, moment: datetime, until: datetime) -> Iterator[datetime]:
    while moment <= until:
        yield moment
        moment = end_of(granularity, moment)


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
