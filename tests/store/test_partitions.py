"""Making partitions: their bounds and names, and what stands in the way."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
import sqlalchemy as sa
from partitioned import now_of, of
from servers import Database

from dblog.periods import PartitionBy
from dblog.store.engine import connected, keeping
from dblog.store.layout import Layout, set_partition_by
from dblog.store.migrate import upgrade
from dblog.store.names import Names
from dblog.store.partitions import (
    make_ahead,
    make_partition,
)

WRITER = "11111111-1111-4111-8111-111111111111"
INSERT = (
    "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
    f"VALUES ('{WRITER}', 1, %s, 20, 'INFO', 'app', 'host', 'text')"
)


@pytest.mark.parametrize(
    ("granularity", "name"), [("hour", "%Y%m%d_%H"), ("day", "%Y%m%d"), ("week", "%Gw%V"), ("month", "%Y%m")]
)
def test_each_granularity_has_its_bounds_in_utc(
    kept: tuple[sa.Connection, Names], granularity: PartitionBy, name: str
) -> None:
    """A partition begins and ends with a UTC hour, day, ISO week or month, and its name says which."""
    connection, names = kept
    with connection.begin():
        set_partition_by(connection, names, granularity)
    moment = now_of(connection) - timedelta(days=90, hours=7)
    made = make_partition(connection, names, moment)
    found = next(found for found in of(connection, names, "logs") if found.name == made)
    bounds = sa.text(
        "SELECT start, start + CAST('1 ' || :unit AS interval) "
        "FROM date_trunc(:unit, CAST(:moment AS timestamptz), 'UTC') AS start"
    )
    with connection.begin():
        expected = connection.execute(bounds, {"unit": granularity, "moment": moment}).one()
    assert (found.start, found.end) == tuple(expected)
    assert made == f"dblog_logs_p{found.start:{name}}"
    assert found.ours
    ledger = next(found for found in of(connection, names, "batches") if found.holds(moment))
    assert ledger.start
    assert ledger.end == ledger.start + timedelta(days=1)
    assert ledger.name == f"dblog_batches_p{moment:%Y%m%d}"


def test_making_a_partition_again_changes_nothing(kept: tuple[sa.Connection, Names]) -> None:
    """The function returns the partition that is there."""
    connection, names = kept
    moment = now_of(connection) - timedelta(days=3)
    first = make_partition(connection, names, moment)
    before = of(connection, names, "logs")
    assert make_partition(connection, names, moment) == first
    assert of(connection, names, "logs") == before


def test_the_rows_of_a_partition_with_partitions_are_known_after_analyze(
    kept: tuple[sa.Connection, Names], database: Database
) -> None:
    """Such a partition has no file of its own: that this is empty says nothing about its rows."""
    bounds, known = "FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')", []
    with database.connect() as owner:
        owner.execute(f'CREATE TABLE month PARTITION OF dblog_logs {bounds} PARTITION BY RANGE ("timestamp")'.encode())
        owner.execute("CREATE TABLE days PARTITION OF month DEFAULT")
        owner.execute(INSERT, [datetime(2001, 1, 1, tzinfo=UTC)])
        for statement in (b"SELECT", b"ANALYZE month"):
            owner.execute(statement)
            known += [found.rows for found in of(*kept, "logs") if found.name == "month"]
    assert known == [None, 1]


def test_partitions_ahead_are_made_once(empty_database: Database) -> None:
    """A week of days is there after the first call, without gaps; the second call makes nothing."""
    with connected(empty_database.settings.database) as (connection, names):
        upgrade(connection, Layout(names, "day", "standard"))
        assert len(make_ahead(connection, names, 7)) == 8
        assert make_ahead(connection, names, 7) == ()
        for table in ("logs", "batches"):
            found = of(connection, names, table)
            assert len(found) == 8
            assert all(before.end == after.start for before, after in pairwise(found))


def test_a_changed_granularity_fills_the_gaps(kept: tuple[sa.Connection, Names]) -> None:
    """A new month is clipped by the days that are there, and days fit between, so that nothing ever overlaps."""
    connection, names = kept
    now = now_of(connection)
    days = of(connection, names, "logs")
    with connection.begin():
        set_partition_by(connection, names, "month")
    whole = range(-45, 31)
    for offset in whole:
        make_partition(connection, names, now + timedelta(days=offset))
    with connection.begin():
        set_partition_by(connection, names, "hour")
    make_partition(connection, names, now - timedelta(days=100))
    found = of(connection, names, "logs")
    assert set(days) <= set(found)
    months = {f"{now.astimezone(UTC) + timedelta(days=offset):%Y%m}" for offset in whole}
    assert len(found) <= len(days) + len(months) + 2  # one month is on both sides of the days; and an hour
    assert all(before.end <= after.start for before, after in pairwise(found) if before.end and after.start)
    assert all(any(each.holds(now + timedelta(days=offset)) for each in found) for offset in whole)


@pytest.mark.parametrize("days", [-402, 33, 40_000])
def test_moments_outside_the_window_are_refused(kept: tuple[sa.Connection, Names], days: int) -> None:
    """A wrong clock makes no partitions: 400 days back and 31 ahead are the limit."""
    connection, names = kept
    before = of(connection, names, "logs")
    moment = now_of(connection) + timedelta(days=days)
    with pytest.raises(sa.exc.DBAPIError) as caught:
        make_partition(connection, names, moment)
    assert getattr(caught.value.orig, "sqlstate", None) == "22008"
    assert of(connection, names, "logs") == before


@pytest.mark.parametrize("moment", ["NULL", "'infinity'", "'-infinity'"])
def test_odd_moments_are_refused(database: Database, moment: str) -> None:
    """No moment, and no end of time, has a partition."""
    with database.connect() as connection, pytest.raises(psycopg.errors.DatetimeFieldOverflow):
        connection.execute(f"SELECT dblog_make_partition({moment})")


@pytest.mark.parametrize("days", [-400, 31])
def test_the_whole_window_can_be_had(kept: tuple[sa.Connection, Names], days: int) -> None:
    """At both ends of the documented window there can be a partition, though clocks differ a little."""
    connection, names = kept
    moment = now_of(connection) + timedelta(days=days, minutes=days)
    made = make_partition(connection, names, moment)
    assert any(found.name == made and found.holds(moment) for found in of(connection, names, "logs"))


def test_the_time_zone_and_date_style_of_a_session_do_not_matter(database: Database) -> None:
    """Bounds are in UTC whatever the session that makes the partition speaks."""
    with database.connect() as connection:
        connection.execute("SET TimeZone = 'America/St_Johns'; SET DateStyle = 'German, DMY'")
        connection.execute("SELECT dblog_make_partition(now() - interval '20 days')")
    with keeping(database.settings.database) as (reader, names):
        oldest = of(reader, names, "logs")[0]
        assert oldest.start
        assert (oldest.start.hour, oldest.start.minute) == (0, 0)
        assert oldest.start.utcoffset() == timedelta(0)


def test_a_taken_name_gets_a_suffix(kept: tuple[sa.Connection, Names]) -> None:
    """A table or type of somebody else that has the partition's name is left alone."""
    connection, names = kept
    moment = now_of(connection) - timedelta(days=9)
    taken = f"dblog_logs_p{moment:%Y%m%d}"
    with connection.begin():
        connection.execute(sa.text(f"CREATE TABLE {taken} (precious integer)"))
        connection.execute(sa.text(f"CREATE TYPE {taken}_2 AS ENUM ('a')"))
    assert make_partition(connection, names, moment) == f"{taken}_3"


def test_rows_of_a_new_partition_get_ids_and_times(database: Database) -> None:
    """A partition made on demand numbers its rows from the same identity as all others."""
    with database.connect() as connection:
        at = connection.execute("SELECT now() - interval '50 days'").fetchone()
        assert at
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(INSERT, at)
        connection.execute("SELECT dblog_make_partition(%s)", at)
        connection.execute(INSERT, at)
        connection.execute(INSERT, [datetime.now(UTC)])
        rows = connection.execute("SELECT id, created_at FROM dblog_logs ORDER BY id").fetchall()
    assert len({number for number, _ in rows}) == 2
    assert all(created for _, created in rows)
