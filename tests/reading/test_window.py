"""Times as people write them; no test here reads a clock."""

import contextlib
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zones import zone as system_zone

from dblog.errors import UsageError
from dblog.reading.window import Window, ago, make_window, parse_moment, show

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)
"""The morning on which the clocks of Berlin went from 02:00 to 03:00."""


def moment(text: str, zone: tzinfo | None = BERLIN) -> datetime:
    """What a text means at `NOW`."""
    return parse_moment(text, "--since", now=NOW, zone=zone)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("15m", NOW - timedelta(minutes=15)),
        ("2h30m", NOW - timedelta(hours=2, minutes=30)),
        ("1d", NOW - timedelta(hours=24)),
        ("1w2d3h4m5s", NOW - timedelta(days=9, hours=3, minutes=4, seconds=5)),
        ("today", datetime(2026, 3, 28, 23, 0, tzinfo=UTC)),
        ("Yesterday", datetime(2026, 3, 27, 23, 0, tzinfo=UTC)),
        ("2026-03-29", datetime(2026, 3, 28, 23, 0, tzinfo=UTC)),
        ("2026-03-30", datetime(2026, 3, 29, 22, 0, tzinfo=UTC)),
        ("2026-03-29T01:30", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        ("2026-03-29 03:30:15.25", datetime(2026, 3, 29, 1, 30, 15, 250_000, tzinfo=UTC)),
        ("2026-03-29T03:30Z", datetime(2026, 3, 29, 3, 30, tzinfo=UTC)),
        ("2026-03-29t03:30z", datetime(2026, 3, 29, 3, 30, tzinfo=UTC)),
        ("2026-03-29T03:30:00+05:30", datetime(2026, 3, 28, 22, 0, tzinfo=UTC)),
        ("2026-03-29T03:30-0800", datetime(2026, 3, 29, 11, 30, tzinfo=UTC)),
        ("1774778400", NOW),
        ("1774778400.5", NOW + timedelta(milliseconds=500)),
        ("1774778400123", NOW + timedelta(milliseconds=123)),
    ],
)
def test_a_time_is_understood(text: str, expected: datetime) -> None:
    """Durations are exact time ago; days and times without a zone follow the calendar of the zone."""
    assert moment(text) == expected


def test_utc_replaces_the_local_zone() -> None:
    """With UTC as the zone, a day begins at midnight UTC."""
    assert moment("today", UTC) == datetime(2026, 3, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "15", "-5m", "m", "5m2h", "1.5h", "2026-02-30", "2026-13-01", "20261121", "2026-11-21Z",
     "999999999w", "2026-11-21T25:00", "0001-01-01T00:00+14:00", "10:00", "99999999999999999"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    """An error names the option, the value and every form that is accepted."""
    with pytest.raises(UsageError) as caught:
        moment(text)
    assert str(caught.value).startswith(f"--since: {text!r} is not a time; accepted: 15m, 2h30m")


@given(st.one_of(st.text(max_size=20), st.text(alphabet="0123456789-:TZ+.wdhms ", max_size=30)))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    """Whatever is typed becomes a moment with a zone, or a UsageError."""
    with contextlib.suppress(UsageError):
        assert moment(text).tzinfo is not None


@given(st.floats(0, 4e9), st.sampled_from([BERLIN, UTC, ZoneInfo("Asia/Kathmandu")]))
def test_what_is_shown_is_understood(seconds: float, zone: tzinfo) -> None:
    """A time can be copied from the output into `--since` and means the same millisecond, however the clocks change."""
    exact = datetime.fromtimestamp(int(seconds), UTC) + timedelta(milliseconds=int(seconds * 1000) % 1000)
    assert moment(show(exact, zone)) == exact


@pytest.mark.parametrize("name", ["Asia/Kathmandu", "America/New_York"])
def test_what_has_no_date_in_a_zone_is_shown_in_utc(name: str) -> None:
    """The first and the last moments of the calendar are shown wherever one is, in the zone named or the system's."""
    for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        with system_zone(name):
            shown = [show(moment, ZoneInfo(name)), show(moment, None)]
        in_utc = show(moment, UTC)
        there = moment.year == 1 if name.startswith("Asia") else moment.year == 9999
        assert [text == in_utc for text in shown] == [not there, not there]


def test_a_window_reaches_back_a_day() -> None:
    """Without `--since` a window begins 24 hours before its end, and without `--until` it leaves out nothing recent."""
    window = make_window(None, None, now=NOW, zone=UTC)
    assert window.since == NOW - timedelta(hours=24)
    assert window.until > NOW + timedelta(days=30)
    day = datetime(2020, 5, 5, tzinfo=UTC)
    assert make_window(None, "2020-05-05", now=NOW, zone=UTC) == Window(day - timedelta(hours=24), day)


@pytest.mark.parametrize(("since", "until"), [("1h", "2h"), ("now", "now"), ("2027-01-01", None), (None, "0001-01-01")])
def test_an_empty_window_is_refused(since: str | None, until: str | None) -> None:
    """A window that cannot hold a record is a mistake that is named, not an empty answer."""
    with pytest.raises(UsageError, match=r"^--(since|until): .*accepted: "):
        make_window(since, until, now=NOW, zone=UTC)


@pytest.mark.parametrize(
    ("before", "said"),
    [(0, "0 seconds ago"), (119, "119 seconds ago"), (120, "2 minutes ago"), (7200, "2 hours ago"),
     (3 * 86400, "3 days ago"), (-300, "5 minutes in the future")],
)  # fmt: skip
def test_how_long_ago_is_said_roughly(before: int, said: str) -> None:
    """A distance in time is told in its largest fitting unit, also for records of the future."""
    assert ago(NOW - timedelta(seconds=before), NOW) == said
