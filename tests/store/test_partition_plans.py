"""Which partitions are to be made, now and ahead of time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog.periods import STEPS, PartitionBy, end_of, moments_ahead, reach_ahead
from dblog.store.names import Table
from dblog.store.partitions import Partition, plan_ahead

TABLES: tuple[Table, ...] = ("logs", "batches")
GRANULARITIES: tuple[PartitionBy, ...] = ("hour", "day", "week", "month")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def part(table: Table, start: datetime | None, end: datetime | None, *, default: bool = False) -> Partition:
    """A partition with these bounds."""
    return Partition("p", table, start, end, default, ours=True, detaching=False, rows=0, size=0)


@pytest.mark.parametrize(("granularity", "count"), [("hour", 1 + 3), ("day", 1 + 3), ("week", 1 + 3), ("month", 1 + 3)])
def test_plan_names_every_missing_partition(granularity: PartitionBy, count: int) -> None:
    """With no partition there is one to make for now, for every period ahead and for the ledger's days."""
    planned = plan_ahead((), NOON, granularity, 3)
    assert planned[0] == NOON
    assert len(planned) >= count
    assert planned[-1] <= NOON + timedelta(days=31)
    assert plan_ahead((), NOON, granularity, 0) == (NOON,)


def test_plan_is_empty_where_both_tables_have_partitions() -> None:
    """Nothing is planned where a partition of the records and one of the ledger hold each moment."""
    both = (part("logs", None, None), part("batches", None, None))
    assert plan_ahead(both, NOON, "day", 30) == ()


@pytest.mark.parametrize("table", ["logs", "batches"])
def test_plan_needs_both_tables(table: Table) -> None:
    """One of the two tables alone is not enough."""
    assert plan_ahead((part(table, None, None),), NOON, "day", 1) == (NOON, NOON + timedelta(hours=12))


def test_plan_does_not_count_on_a_default_partition() -> None:
    """A DEFAULT partition is no partition for anything."""
    both = (part("logs", None, None, default=True), part("batches", None, None))
    assert plan_ahead(both, NOON, "day", 1)


def test_bounds_are_half_open() -> None:
    """A partition holds its first moment and does not hold its last."""
    day = part("logs", NOON, NOON + timedelta(days=1))
    assert day.holds(NOON)
    assert not day.holds(NOON - timedelta(microseconds=1))
    assert not day.holds(NOON + timedelta(days=1))


def made(existing: list[Partition], moment: datetime, granularity: PartitionBy) -> list[Partition]:
    """What is there after a partition was made for a moment where none holds it: within its period and the others."""
    known = list(existing)
    for table in TABLES:
        held = [part for part in known if part.table == table]
        if not any(part.holds(moment) for part in held):
            step: PartitionBy = granularity if table == "logs" else "day"
            start = max([start_of(step, moment), *(p.end for p in held if p.end and p.end <= moment)])
            end = min([end_of(step, moment), *(p.start for p in held if p.start and p.start > moment)])
            known.append(part(table, start, end))
    return known


def start_of(granularity: PartitionBy, moment: datetime) -> datetime:
    """The first moment of a period: the end of the one before."""
    if granularity == "month":
        return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return end_of(granularity, moment) - STEPS[granularity]


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy adds it
    st.lists(st.tuples(st.sampled_from(GRANULARITIES), st.integers(1, 9), st.integers(0, 400)), min_size=1, max_size=6),
)
def test_no_change_of_the_granularity_leaves_a_gap_or_an_overlap(
    now: datetime, changes: list[tuple[PartitionBy, int, int]]
) -> None:
    """However often the granularity and the number ahead change, all time ahead is covered, and no moment twice."""
    known: list[Partition] = []
    for granularity, ahead, hours in changes:
        for moment in plan_ahead(known, now, granularity, ahead):
            known = made(known, moment, granularity)
        assert plan_ahead(known, now, granularity, ahead) == ()
        for table in TABLES:
            bounds = sorted((p.start, p.end) for p in known if p.table == table and p.start and p.end)
            assert all(before[1] <= after[0] for before, after in pairwise(bounds))
            reach = reach_ahead(granularity, ahead)[table == "batches"]
            recent = [bound for bound in bounds if now < bound[1] and bound[0] <= now + reach]
            assert recent[0][0] <= now
            assert recent[-1][1] > now + reach
            assert all(before[1] == after[0] for before, after in pairwise(recent))
        now += timedelta(hours=hours)


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy adds it
    st.sampled_from(GRANULARITIES),
    st.integers(0, 40),
)
def test_writers_look_as_far_ahead_as_the_maintenance(now: datetime, granularity: PartitionBy, ahead: int) -> None:
    """The moments for which a writer has partitions made are those that a plan for new tables names."""
    assert moments_ahead(granularity, ahead, now) == plan_ahead((), now, granularity, ahead)


def test_a_short_month_is_not_passed_over() -> None:
    """A month after the end of January there is a partition for February, too."""
    january = datetime(2027, 1, 30, tzinfo=UTC)
    assert [moment.month for moment in moments_ahead("month", 1, january)] == [1, 1, 2, 3]


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy adds it
    st.sampled_from(GRANULARITIES),
)
def test_periods_follow_each_other(moment: datetime, granularity: PartitionBy) -> None:
    """A period ends after each of its moments, on a round hour, and the next one begins there."""
    end = end_of(granularity, moment)
    assert moment < end <= moment + STEPS[granularity]
    assert (end.minute, end.second, end.microsecond) == (0, 0, 0)
    assert end_of(granularity, end - timedelta(microseconds=1)) == end
    assert end_of(granularity, end) > end
