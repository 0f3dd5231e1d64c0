"""Newest first over many partitions: a window is read stretch by stretch, and reading stops when enough was found.

PostgreSQL plans a query for every partition of its window, and a fresh connection has to read the catalogue about each
of them first: for a year of days that takes longer than finding the hundred rows that were asked for.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from dblog.reading.window import Window

DAYS_BACK: Final = (0, *(2**power for power in range(12)))
"""Where stretches begin: at the last midnight, the one before, two before, four, and so on, up to six years."""


def stretches(window: Window, now: datetime) -> Iterator[Window]:
    """Cut a window at midnights of UTC, where partitions meet; the latest stretch comes first.

    Args:
        window: What the stretches make up, without gaps.
        now: In UTC. What lies after it, where only a wrong clock has written, belongs to the first stretch.
    """
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    until = window.until
    for back in map(timedelta, DAYS_BACK):
        if midnight - window.since <= back:  # asked first: there may be no such moment, where the clock is far off
            break
        since = midnight - back
        if since < until:
            yield Window(since, until)
            until = since
    yield Window(window.since, until)
