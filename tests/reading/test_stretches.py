"""A window that is read stretch by stretch, the latest first."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from dblog.reading.stretches import stretches
from dblog.reading.window import Window

NOW = datetime(2026, 11, 21, 16, 30, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 30)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


def test_the_first_stretch_is_today_and_what_wrong_clocks_write() -> None:
    """Today, yesterday, the day before, then two days, four days: a month takes seven statements at most."""
    window = Window(NOW - timedelta(days=10), NOW + timedelta(days=31))
    found = [(part.since.day, part.until.day) for part in stretches(window, NOW)]
    assert found == [(21, 22), (20, 21), (19, 20), (17, 19), (13, 17), (11, 13)]


def test_a_window_within_a_day_is_one_stretch() -> None:
    """A short window is read by a single statement."""
    window = Window(NOW - timedelta(hours=2), NOW)
    assert list(stretches(window, NOW)) == [window]


@given(MOMENTS, MOMENTS, MOMENTS)
@example(NOW, NOW, datetime(6, 1, 1, tzinfo=UTC))
def test_stretches_make_up_the_window(one: datetime, other: datetime, now: datetime) -> None:
    """Whatever the window and the clock, its stretches meet, the latest first, without a gap, and are few."""
    window = Window(min(one, other), max(one, other))
    found = list(stretches(window, now))
    assert found[0].until == window.until
    assert found[-1].since == window.since
    assert all(later.since == earlier.until for later, earlier in pairwise(found))
    assert len(found) <= 14
