"""Times as people write them, and the window of time that every query is bounded by.

Nothing here reads a clock: the moment that counts as now is an argument.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from dblog.defaults import FUTURE_WINDOW_DAYS
from dblog.errors import UsageError

SPAN: Final = timedelta(hours=24)
"""How far a window reaches back when `--since` is not given: a day, which is one or two partitions."""

ACCEPTED: Final = (
    "15m, 2h30m, 1d (ago), now, today, yesterday, 2026-11-21, 2026-11-21T10:00[:00][Z or +01:00], "
    "or seconds or milliseconds since 1970"
)

_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_AGO = re.compile("".join(rf"(?:(?P<{unit}>\d{{1,9}}){unit})?" for unit in _UNITS))
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE)
_EPOCH = re.compile(r"(?P<seconds>\d{9,11}(?:\.\d{1,6})?)|(?P<milliseconds>\d{12,14})")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, from `since` on and before `until`."""

    since: datetime
    until: datetime


def make_window(since: str | None, until: str | None, *, now: datetime, zone: tzinfo | None) -> Window:
    """The window that `--since` and `--until` describe.

    Args:
        since: None: 24 hours before `until`, or before now.
        until: None: as far into the future as a wrong clock may have written, lest such records never be seen.
        now: The moment that `now` and durations refer to.
        zone: The time zone of times that name none; None is the system's.

    Raises:
        UsageError: One of them is no time, or `since` is not before `until`.
    """
    end = now + timedelta(days=FUTURE_WINDOW_DAYS)
    last = parse_moment(until, "--until", now=now, zone=zone) if until is not None else end
    if since is not None:
        first = parse_moment(since, "--since", now=now, zone=zone)
    else:
        first = _shifted(last if until is not None else now, -SPAN, "--until", until or "")
    if first >= last:
        raise UsageError(
            f"--since: {show(first, zone)} is not before {show(last, zone)}; accepted: a time before --until"
        )
    return Window(first, last)


def parse_moment(text: str, option: str, *, now: datetime, zone: tzinfo | None) -> datetime:
    """Understand a time.

    A duration is exact time ago (`1d` is 24 hours, whatever the clocks did); `today` and `yesterday` are midnights of
    the calendar of `zone`.

    Raises:
        UsageError: Names the option, the value and what is accepted.
    """
    word = text.strip()
    days_back = {"today": 0, "yesterday": 1}.get(word.lower())
    try:
        if word.lower() == "now":
            return now
        if days_back is not None:
            return _midnight(now.astimezone(zone).date() - timedelta(days=days_back), zone)
        if found := _EPOCH.fullmatch(word):
            seconds = found["seconds"]
            return _EPOCH_START + (
                timedelta(seconds=float(seconds)) if seconds else timedelta(milliseconds=int(found["milliseconds"]))
            )
        if word and (found := _AGO.fullmatch(word)):
            ago = {_UNITS[unit]: int(count) for unit, count in found.groupdict().items() if count}
            return now - timedelta(**ago)
        if _ISO.fullmatch(word):
            return _placed(datetime.fromisoformat(word.upper()), zone)
    except (ValueError, OverflowError, OSError):
        pass  # 2026-02-30, or beyond the years that a date can have: said below
    raise UsageError(f"{option}: {text!r} is not a time; accepted: {ACCEPTED}")


_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


def in_zone(moment: datetime, zone: tzinfo | None) -> datetime:
    """A moment by the clock of a zone, None for the system's; in UTC where it is of the year 0 or 10000 there."""
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError):
        return moment.astimezone(UTC)


def show(moment: datetime, zone: tzinfo | None) -> str:
    """A moment to the millisecond, with its offset, in a form that `--since` understands."""
    local = in_zone(moment, zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}{_offset(local)}"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago something was, roughly, as a person would say it."""
    seconds = (now - moment).total_seconds()
    units = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))
    size, unit = next(((size, unit) for size, unit in units if abs(seconds) >= 2 * size), units[-1])
    count = round(abs(seconds) / size)
    return f"{count} {unit} ago" if seconds >= 0 else f"{count} {unit} in the future"


def _offset(local: datetime) -> str:
    written = local.strftime("%z")
    return "Z" if local.tzinfo is UTC else f"{written[:3]}:{written[3:5]}"


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    return _placed(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 - placed in its zone


def _placed(moment: datetime, zone: tzinfo | None) -> datetime:
    """Put a time that names no zone into one, with the offset that was in force there at that time."""
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)


def _shifted(moment: datetime, by: timedelta, option: str, text: str) -> datetime:
    try:
        return moment + by
    except OverflowError:
        raise UsageError(f"{option}: {text!r} is too far away; accepted: {ACCEPTED}") from None
