"""Partitions: planning them, making them, and never blocking a writer with it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from servers import Database

from dblog.periods import PartitionBy, offsets_ahead
from dblog.store import partitions
from dblog.store.engine import connected, keeping
from dblog.store.layout import Layout, set_partition_by
from dblog.store.migrate import upgrade
from dblog.store.names import Names, Table
from dblog.store.partitions import (
    Partition,
    is_lock_timeout,
    list_partitions,
    make_ahead,
    make_partition,
    plan_ahead,
)

GRANULARITIES: tuple[PartitionBy, ...] = ("hour", "day", "week", "month")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WRITER = "11111111-1111-4111-8111-111111111111"
INSERT = (
    "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
    f"VALUES ('{WRITER}', 1, %s, 20, 'INFO', 'app', 'host', 'text')"
)


@pytest.fixture
def kept(database: Database) -> Iterator[tuple[sa.Connection, Names]]:
    """A connection of the keeping side to a migrated database."""
    with keeping(database.settings.database) as (connection, names):
        yield connection, names


def part(table: Table, start: datetime | None, end: datetime | None, *, default: bool = False) -> Partition:
    """A partition with these bounds."""
    return Partition("p", table, start, end, default, ours=True, detaching=False, rows=0, size=0)


def of(connection: sa.Connection, names: Names, table: Table) -> tuple[Partition, ...]:
    """The partitions of one table."""
    with connection.begin():
        return tuple(found for found in list_partitions(connection, names) if found.table == table)


def now_of(connection: sa.Connection) -> datetime:
    """The clock of the server."""
    with connection.begin():
        return partitions.server_now(connection)


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
    assert len(found) < len(days) + 6
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


def test_writers_are_never_blocked(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """Partitions are made at once while a COPY is open and a cursor reads the table, and both go on undisturbed."""
    connection, names = kept
    now = now_of(connection)
    columns = sql.SQL("writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message")
    line = f"{WRITER}\t1\t{now.isoformat()}\t20\tINFO\tapp\thost\ttext\n"
    with database.connect() as writer, database.connect() as reader:
        with writer.transaction(), reader.transaction():
            reader.execute("DECLARE rows CURSOR FOR SELECT * FROM dblog_logs")
            with writer.cursor().copy(sql.SQL("COPY dblog_logs ({}) FROM STDIN").format(columns)) as copy:
                copy.write(line)
                with connection.begin():
                    connection.execute(sa.text("SET LOCAL lock_timeout = '1ms'"))
                    made = connection.scalar(
                        sa.text("SELECT dblog_make_partition(:at)"), {"at": now - timedelta(days=30)}
                    )
                copy.write(line)
            reader.execute("FETCH ALL FROM rows")
        assert writer.execute("SELECT count(*) FROM dblog_logs").fetchone() == (2,)
    assert any(found.name == made for found in of(connection, names, "logs"))


def test_many_may_make_the_same_partition_at_once(database: Database) -> None:
    """Eight sessions that ask for the same moments at the same time all get the same names, and none an error."""
    start = Barrier(8)

    def ask() -> list[str]:
        with database.connect() as connection:
            start.wait(30)
            return [
                connection.execute("SELECT dblog_make_partition(now() - %s * interval '1 day')", [days]).fetchall()[0][
                    0
                ]
                for days in range(40, 44)
            ]

    with ThreadPoolExecutor(8) as pool:
        answers = [done.result(60) for done in [pool.submit(ask) for _ in range(8)]]
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0])) == 4


def test_a_lock_that_is_held_for_a_moment_is_waited_for(
    kept: tuple[sa.Connection, Names], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody else holds the table, making a partition gives up in time, tries again, and succeeds."""
    connection, names = kept
    moment = now_of(connection) - timedelta(days=60)
    refusals = []
    with database.connect() as other:
        other.execute("ALTER FUNCTION dblog_make_partition SET lock_timeout = '20ms'")
        other.execute("BEGIN")
        other.execute("LOCK TABLE dblog_logs IN ACCESS EXCLUSIVE MODE")

        def note(error: BaseException) -> bool:
            refusals.append(error)
            other.rollback()
            return is_lock_timeout(error)

        monkeypatch.setattr(partitions, "is_lock_timeout", note)
        made = make_partition(connection, names, moment)
    assert len(refusals) == 1
    assert any(found.name == made for found in of(connection, names, "logs"))


def test_a_lock_that_is_never_released_is_an_error(
    kept: tuple[sa.Connection, Names], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its attempts it gives up, so that nobody queues behind it for long."""
    connection, names = kept
    monkeypatch.setattr(partitions, "LOCK_ATTEMPTS", 2)
    moment = now_of(connection) - timedelta(days=60)
    with database.connect() as other:
        other.execute("ALTER FUNCTION dblog_make_partition SET lock_timeout = '20ms'")
        with other.transaction():
            other.execute("LOCK TABLE dblog_logs IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(sa.exc.DBAPIError) as caught:
                make_partition(connection, names, moment)
    assert is_lock_timeout(caught.value)


def test_a_partition_that_is_being_detached_is_not_passed_off_as_there(database: Database) -> None:
    """For a moment whose partition is half detached the function asks to try again, since no row would fit."""
    with database.connect() as connection, database.connect() as reader:
        name = connection.execute("SELECT dblog_make_partition(now() - interval '80 days')").fetchall()[0][0]
        with reader.transaction():
            reader.execute("SELECT count(*) FROM dblog_logs")
            connection.execute("SET lock_timeout = '20ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute(
                    sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {} CONCURRENTLY").format(sql.Identifier(name))
                )
        with pytest.raises(psycopg.errors.LockNotAvailable, match="being detached"):
            connection.execute("SELECT dblog_make_partition(now() - interval '80 days')")
