"""When a file is rotated by the clock: calculations with the zone of the process, without input or output."""

import math
from datetime import UTC, datetime, time, timedelta
from typing import Final

_SECONDS: Final = {"S": 1, "M": 60, "H": 3600, "D": 86_400}
_MIDNIGHT: Final = time()


class Schedule:
    """The times at which a file is due.

    `S`, `M`, `H` and `D` count elapsed seconds, as the standard library does. `HOURLY` is on the hour, `DAILY` and
    `MIDNIGHT` are once a day and `W0` (Monday) to `W6` once a week at a time of the wall clock, on days of 23 or 25
    hours, too. As in the standard library a time that the clock jumps over comes as much later as it jumps, and one
    that comes twice means the first, save for a file that is begun between the two.
    The midnight of a weekday is the one that ends it, as in the standard library.

    Args:
        when: The unit; `NEVER` for none.
        interval: How many units apart.
        utc: Wall clock and names are in UTC instead of local time.
        at_time: The time of the day for days and weeks; None for midnight.
    """

    def __init__(self, when: str, interval: int = 1, *, utc: bool = False, at_time: time | None = None) -> None:
        self._when = when
        self._interval = interval
        self._utc = utc
        self._at = (at_time or _MIDNIGHT).replace(microsecond=0, tzinfo=None, fold=0)
        self._weekday = (int(when[1]) + (at_time is None)) % 7 if when.startswith("W") else None
        self._days = interval * (1 if self._weekday is None else 7)

    def next_after(self, moment: float) -> float:
        """The first time, later than `moment`, at which a file is due that was begun then; infinity for never.

        Args:
            moment: Seconds since 1970.
        """
        if self._when == "NEVER":
            return math.inf
        if seconds := _SECONDS.get(self._when):
            return moment + seconds * self._interval
        if self._when == "HOURLY":
            wall = self.wall(moment)
            past = wall.minute * 60 + wall.second + wall.microsecond / 1e6
            return round(moment - past) + 3600.0 * self._interval
        return self._next_day(moment)

    def begin_of(self, due: float) -> float:
        """When the period began that ends at `due`; infinity and what is due for no reason begin when they end."""
        if seconds := _SECONDS.get("H" if self._when == "HOURLY" else self._when):
            return due - seconds * self._interval
        if self._when == "NEVER":
            return due
        return self._instant(self.wall(due) - timedelta(days=self._days))

    def wall(self, moment: float) -> datetime:
        """What the clock on the wall shows at `moment`, without its zone."""
        instant = datetime.fromtimestamp(moment, UTC)
        return (instant if self._utc else instant.astimezone()).replace(tzinfo=None)

    def _next_day(self, moment: float) -> float:
        wall = self.wall(moment)
        day = wall.date()
        if self._weekday is not None:
            day += timedelta(days=(self._weekday - day.weekday()) % 7)
        step = timedelta(days=1 if self._weekday is None else 7)
        if datetime.combine(day, self._at) <= wall:
            day += step
        first = self._instant(datetime.combine(day, self._at))
        if first <= moment:  # in an hour that comes twice: the time has been, and comes again
            first = self._instant(datetime.combine(day, self._at), fold=1)
        if self._interval == 1:
            return first
        return self._instant(datetime.combine(day, self._at) + timedelta(days=self._days) - step)

    def _instant(self, wall: datetime, fold: int = 0) -> float:
        """When the clock on the wall shows `wall`, the first or second time; jumped over, it comes as much later."""
        return wall.replace(tzinfo=UTC if self._utc else None, fold=fold).timestamp()
