"""Times of rotation: on the marks of the wall clock in every zone, and where the standard library has them."""

import logging.handlers
import math
import sys
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zones import ZONES, zone

from dblog.files.rotated.schedule import Schedule

MOMENTS = st.integers(
    int(datetime(2009, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2037, 1, 1, tzinfo=UTC).timestamp())
)
TIMES = st.times().map(lambda at: at.replace(microsecond=0, fold=0))
DAYS = st.sampled_from(["MIDNIGHT", "DAILY", "W0", "W3", "W6"])


def at(name: str, *when: int) -> float:
    """The seconds since 1970 of a time in a zone."""
    return datetime(*when, tzinfo=ZoneInfo(name)).timestamp()  # type: ignore[misc,arg-type]


def shown(moment: float, name: str) -> datetime:
    """What a clock in a zone shows, by another way than the code's."""
    return datetime.fromtimestamp(moment, ZoneInfo(name)).replace(tzinfo=None)


@given(MOMENTS, st.sampled_from(ZONES), DAYS, TIMES)
def test_a_day_is_due_when_the_clock_first_shows_the_time(moment: int, name: str, when: str, mark: time) -> None:
    """Nothing is due before the clock on the wall has reached the time of a day, and something is when it has."""
    with zone(name):
        schedule = Schedule(when, at_time=mark)
        due = schedule.next_after(moment)
        assert due > moment
        assert shown(due, name).time() >= mark
        goal = datetime.combine(shown(due, name).date(), mark)
        assert due == int(due)
        assert shown(due - 1, name) < goal or shown(due, name) == goal
        if when.startswith("W"):
            assert shown(due, name).weekday() == int(when[1]) or name == "Pacific/Apia"
        assert due - moment <= (7 if when.startswith("W") else 1) * 86_400 + 2 * 86_400


@given(MOMENTS, st.sampled_from(ZONES), TIMES, st.integers(20, 40))
def test_every_day_is_due_once(moment: int, name: str, mark: time, days: int) -> None:
    """A file that is rotated whenever it is due is rotated once for each day that there was."""
    with zone(name):
        schedule = Schedule("DAILY", at_time=mark)
        due, seen = schedule.next_after(moment), []
        for _ in range(days):
            seen.append(shown(due, name).date())
            due = schedule.next_after(due)
        assert len(set(seen)) == days
        missing = (seen[-1] - seen[0]).days + 1 - days
        assert missing == (1 if name == "Pacific/Apia" and seen[0] < datetime(2011, 12, 30).date() < seen[-1] else 0)  # noqa: DTZ001


@given(MOMENTS, st.sampled_from(ZONES))
def test_an_hour_is_due_on_the_hour(moment: int, name: str) -> None:
    """Hourly rotation comes when the minutes turn to zero, an hour later at most, in zones of half hours, too."""
    with zone(name):
        due = Schedule("HOURLY").next_after(moment)
        assert 0 < due - moment <= 3600
        jumped = (shown(due, name) - shown(due - 1, name)) != timedelta(seconds=1)
        assert shown(due, name).minute == 0 or jumped


@pytest.mark.parametrize(
    ("name", "moment", "mark", "expected"),
    [
        pytest.param(
            "Europe/Berlin", (2026, 3, 29, 1, 0), time(2, 30), (2026, 3, 29, 3, 30), id="a time that is jumped over"
        ),
        pytest.param(
            "Europe/Berlin", (2026, 10, 25, 1, 0), time(2, 30), (2026, 10, 25, 2, 30), id="the first of two times"
        ),
        pytest.param("Europe/Berlin", (2026, 10, 25, 0, 0), None, (2026, 10, 26, 0, 0), id="a day of 25 hours"),
        pytest.param("America/New_York", (2026, 3, 8, 0, 0), None, (2026, 3, 9, 0, 0), id="a day of 23 hours"),
        pytest.param(
            "Australia/Lord_Howe", (2026, 10, 4, 1, 0), time(2, 10), (2026, 10, 4, 2, 40), id="half an hour is jumped"
        ),
        pytest.param("Asia/Kathmandu", (2026, 1, 1, 12, 0), None, (2026, 1, 2, 0, 0), id="a zone of 5:45"),
        pytest.param(
            "Pacific/Apia", (2011, 12, 29, 12, 0), None, (2011, 12, 31, 0, 0), id="a day that there never was"
        ),
    ],
)
def test_what_the_clock_does_at_its_changes(
    name: str, moment: tuple[int, ...], mark: time | None, expected: tuple[int, ...]
) -> None:
    """A daily rotation follows the clock on the wall over every kind of change."""
    with zone(name):
        assert Schedule("DAILY", at_time=mark).next_after(at(name, *moment)) == at(name, *expected)


def test_a_time_that_comes_twice() -> None:
    """A time that the clock shows twice in a night is due once; the second time only for a file begun in between."""
    with zone("Europe/Berlin"):
        schedule = Schedule("DAILY", at_time=time(2, 30))
        first = at("Europe/Berlin", 2026, 10, 25, 2, 30)
        for later in (0, 600, 3600):
            assert schedule.next_after(first + later) == at("Europe/Berlin", 2026, 10, 26, 2, 30)
        for later in (2400, 3599):  # it is 2:10 again, and 2:29:59
            assert schedule.next_after(first + later) == first + 3600


@given(
    MOMENTS,
    st.sampled_from(ZONES),
    st.sampled_from(["S", "M", "H", "D", "MIDNIGHT", "W0", "W6"]),
    st.booleans(),
    TIMES | st.none(),
)
def test_the_standard_library_agrees_away_from_changes(
    moment: int, name: str, when: str, utc: bool, mark: time | None
) -> None:
    """Where the clock is not changed nearby, a file is due when the standard library says so."""
    with zone(name):
        offsets = {datetime.fromtimestamp(moment + day * 86_400, ZoneInfo(name)).utcoffset() for day in range(-9, 10)}
        if len(offsets) > 1 and not utc:
            return
        interval = 3 if sys.version_info >= (3, 13) or when in "SMHD" else 1
        theirs = logging.handlers.TimedRotatingFileHandler(
            "unused.log", when, interval, utc=utc, atTime=mark, delay=True
        )
        expected = theirs.computeRollover(moment)
        theirs.close()
        if expected > moment:  # at the mark itself, versions before 3.13 answer with the mark
            assert Schedule(when, interval, utc=utc, at_time=mark).next_after(moment) == expected


@given(
    MOMENTS, st.sampled_from(ZONES), st.sampled_from(["S", "M", "H", "D", "HOURLY", "DAILY", "W2"]), st.integers(1, 9)
)
def test_periods_adjoin(moment: int, name: str, when: str, interval: int) -> None:
    """The period that ends when a file is due has begun before, and the next begins with its end."""
    with zone(name):
        schedule = Schedule(when, interval)
        due = schedule.next_after(moment)
        assert schedule.begin_of(due) < due
        if name != "Pacific/Apia":
            assert schedule.begin_of(schedule.next_after(due)) == due


def test_never_is_never() -> None:
    """Without a time of rotation nothing is ever due."""
    assert Schedule("NEVER").next_after(0.0) == math.inf


def test_missed_periods_are_one() -> None:
    """After a sleep of many periods the next time lies in the future."""
    assert Schedule("S", 5).next_after(1_000_000_000.25) == 1_000_000_005.25
    assert Schedule("HOURLY", utc=True).next_after(1_000_000_000.25) == 1_000_000_800.0 + 0
