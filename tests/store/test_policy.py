"""For how long records are kept: what may go of which partition, and when."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog.store.names import Table
from dblog.store.partitions import Partition
from dblog.store.policy import Policy, affected, expired, is_excessive
from dblog.store.sizing import daily_bytes, forecast, oversize, total_bytes

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0)

days = st.integers(1, 400)
policies = st.builds(
    Policy,
    days,
    st.dictionaries(st.sampled_from([5, 10, 20, 30, 40, 50]), days, max_size=4),
    st.dictionaries(st.sampled_from(["shop", "shop.audit", "shop.audit.money", "web"]), days, max_size=4),
)


def part(age: float, table: Table = "logs", *, length: float = 1, size: int = 0, ours: bool = True) -> Partition:
    """A partition whose last moment is so many days before now."""
    end = NOW - age * DAY
    return Partition(f"p{age}", table, end - length * DAY, end, False, ours, False, 0, size)


def daily(count: int, size: int) -> list[Partition]:
    """Partitions of whole days, the last of which is that of now."""
    starts = [MIDNIGHT - back * DAY for back in range(count)]
    return [Partition(f"p{i}", "logs", each, each + DAY, False, True, False, 0, size) for i, each in enumerate(starts)]


def test_a_partition_goes_by_its_last_moment() -> None:
    """A partition is due when even its last moment is older than the retention, not before."""
    due, early = part(30), part(29.99)
    assert expired((due, early), NOW, Policy(30)) == (due,)


def test_the_ledger_is_kept_as_long_as_batches_may_come() -> None:
    """However short or long the retention of the records, the ledger remembers thirty days."""
    assert expired((part(20, "batches"), part(20)), NOW, Policy(1)) == (part(20),)
    assert expired((part(30, "batches"),), NOW, Policy(3650)) == (part(30, "batches"),)


def test_nothing_of_others_goes() -> None:
    """A partition without dblog's mark, or without an end, is never due, neither whole nor in part."""
    endless = Partition("p", "logs", None, None, True, True, False, 0, 9)
    foreign = part(900, ours=False, size=9)
    assert expired((foreign, endless), NOW, Policy(1)) == ()
    assert affected((foreign, endless), NOW, Policy(1, {10: 2})) == ()
    assert oversize((foreign, endless), NOW, 0) == ()


def test_a_partition_goes_whole_once_nothing_in_it_is_kept() -> None:
    """The longest number of days decides about the whole, the others about its rows."""
    policy = Policy(30, {10: 7}, {"shop.audit": 90})
    assert expired((part(90), part(89)), NOW, policy) == (part(90),)
    assert [found for found, _ in affected((part(90), part(89), part(7), part(6.9, length=0.1)), NOW, policy)] == [
        part(89),
        part(7),
    ]


def test_one_number_for_everything_deletes_no_rows() -> None:
    """Where everything is kept equally long, partitions go as a whole only, however long they are."""
    month = part(5, length=31)
    for policy in (Policy(7), Policy(7, {10: 7}, {"shop": 7})):
        assert affected((month,), NOW, policy) == ()


def test_cuts_in_a_partition_are_beginnings_of_days() -> None:
    """A long partition loses a day at a time, and what is kept longest waits for the whole."""
    month = part(-10, length=31)
    assert month.start is not None
    ((_, cuts),) = affected((month,), NOW, Policy(365, {10: 7}, {"web": 3, "web.api": 300}))
    assert cuts.levels == ((10, MIDNIGHT - 7 * DAY),)
    assert cuts.loggers == (("web.api", month.start), ("web", MIDNIGHT - 3 * DAY))
    assert cuts.others == month.start


@given(policies, st.floats(-30, 500), st.sampled_from([1 / 24, 1, 7, 31]))
def test_nothing_goes_too_early(policy: Policy, age: float, length: float) -> None:
    """No cut is later than its number of days allows, and none lies outside of the partition."""
    found = part(age, length=length)
    assert found.start is not None
    assert found.end is not None
    cuts = policy.cuts(found.start, found.end, NOW)
    pairs = [
        *((cut, policy.loggers[name]) for name, cut in cuts.loggers),
        *((cut, policy.levels[level]) for level, cut in cuts.levels),
        (cuts.others, policy.days),
    ]
    assert all(cut in (found.start, min(cut, NOW - kept * DAY)) for cut, kept in pairs)
    assert found.start <= cuts.latest <= found.end


@given(policies, st.floats(-30, 500), st.sampled_from([1 / 24, 1, 7, 31]))
def test_what_is_due_whole_is_not_looked_into(policy: Policy, age: float, length: float) -> None:
    """A partition goes as a whole, or in part, or stays; once everything is too old it goes as a whole."""
    found = part(age, length=length)
    whole, partly = expired((found,), NOW, policy), affected((found,), NOW, policy)
    assert not (whole and partly)
    assert bool(whole) == (age * DAY >= policy.longest)


@pytest.mark.parametrize(
    ("due", "total", "excessive"), [(2, 2, False), (3, 5, True), (3, 6, False), (4, 7, True), (0, 0, False)]
)
def test_more_than_half_is_excessive(due: int, total: int, excessive: bool) -> None:
    """Three or more that are more than half of those that are no more to come look like a wrong clock."""
    every = [part(400) for _ in range(total)] + [part(400, "batches") for _ in range(50)]
    ahead = [part(-day) for day in range(2, 10)]
    assert is_excessive([*every, *ahead], every[:due], NOW) is excessive


@given(st.lists(st.integers(0, 100), max_size=20), st.integers(0, 1000))
def test_the_oldest_go_for_a_limit(sizes: list[int], limit: int) -> None:
    """For a limit the oldest go, no more than it takes, and never the one that still fills, nor one of the ledger."""
    parts = [part(age - 0.5, size=size) for age, size in enumerate(sizes)] + [part(40, "batches", size=50)]
    gone = oversize(parts, NOW, limit)
    stay = [each for each in parts if each not in gone]
    assert all(each.table == "logs" and each.end is not None and each.end <= NOW for each in gone)
    assert total_bytes(stay) <= limit or len(stay) == min(len(sizes), 1) + 1
    assert not gone or total_bytes([*stay, gone[-1]]) > limit
    assert set(gone) == set(sorted(parts[1:-1], key=lambda each: str(each.end))[: len(gone)])


def test_growth_is_that_of_the_last_day() -> None:
    """Half of yesterday and all of today, which is half over, are a day; what lies ahead is no growth."""
    today, yesterday = daily(2, 1000)
    ahead = part(-3, size=16_000)
    assert daily_bytes((today, yesterday, ahead), NOW) == 1500
    assert daily_bytes((part(-10, length=20, size=1000),), NOW) == 100
    assert daily_bytes((), NOW) == 0


def test_the_forecast_counts_the_days_to_the_limit() -> None:
    """What grows by a thousand bytes a day and may have nineteen thousand more reaches the limit in twenty days."""
    parts = [*daily(1, 500), *daily(11, 1000)[1:]]
    assert forecast(parts, NOW, Policy(365, max_bytes=10_500 + 19_000)) == 20
    assert forecast(parts, NOW, Policy(365, max_bytes=10_000)) == 0
    assert forecast(parts, NOW, Policy(365)) is None


def test_the_forecast_knows_what_expires() -> None:
    """Where as much expires each day as comes, the limit is never reached."""
    parts = [*daily(1, 500), *daily(30, 1000)[1:]]
    assert forecast(parts, NOW, Policy(30, max_bytes=40_000)) is None
    assert forecast(parts, NOW, Policy(60, max_bytes=40_000)) == 11
