"""Which partitions are to be made, now and ahead of time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dblog.periods import PartitionBy, offsets_ahead
from dblog.store.names import Table
from dblog.store.partitions import Partition, plan_ahead

GRANULARITIES: tuple[PartitionBy, ...] = ("hour", "day", "week", "month")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def part(table: Table, start: datetime | None, end: datetime | None, *, default: bool = False) -> Partition:
    """A partition with these bounds."""
    return Partition("p", table, start, end, default, ours=True, detaching=False, rows=0, size=0)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_plan_names_every_missing_moment(granularity: PartitionBy) -> None:
    """With no partition there is something to make for now and for every period ahead, within the future window."""
    planned = plan_ahead((), NOON, granularity, 3)
    assert planned == tuple(NOON + offset for offset in offsets_ahead(granularity, 3))
    assert planned[0] == NOON
    assert planned[-1] <= NOON + timedelta(days=31)


def test_plan_is_empty_where_both_tables_have_partitions() -> None:
    """Nothing is planned where a partition of the records and one of the ledger hold each moment."""
    both = (part("logs", None, None), part("batches", None, None))
    assert plan_ahead(both, NOON, "day", 30) == ()


@pytest.mark.parametrize("table", ["logs", "batches"])
def test_plan_needs_both_tables(table: Table) -> None:
    """One of the two tables alone is not enough."""
    assert plan_ahead((part(table, None, None),), NOON, "day", 1) == (NOON, NOON + timedelta(days=1))


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


@given(st.integers(0, 5 * 365 * 24).map(lambda hours: NOON + timedelta(hours=hours)), st.sampled_from(GRANULARITIES))
def test_the_next_period_is_always_planned_in_time(now: datetime, granularity: PartitionBy) -> None:
    """Planning seven periods ahead looks at each of the next seven days, or hours where those are the periods."""
    step = timedelta(hours=1) if granularity == "hour" else timedelta(days=1)
    assert {now + step * count for count in range(8)} <= set(plan_ahead((), now, granularity, 7))
