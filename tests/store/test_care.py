"""What closed partitions get, once, and that nobody is kept waiting for it."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from partitioned import now_of, of
from psycopg import sql
from servers import Database

from dblog.store.care import due, look_after
from dblog.store.names import Names
from dblog.store.partitions import Partition, make_partition

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def part(
    name: str, end: datetime | None, *, ours: bool = True, detaching: bool = False, settled: bool = False
) -> Partition:
    """A partition that ends at a moment."""
    return Partition(name, "logs", None, end, False, ours, detaching, 0, 0, settled)


def test_only_closed_partitions_are_due() -> None:
    """A partition is due an hour after its end, the newest first; not what is done, leaving or made by others."""
    partitions = (
        part("older", NOW - 2 * DAY),
        part("closed", NOW - timedelta(hours=1)),
        part("just over", NOW - timedelta(minutes=59)),
        part("endless", None),
        part("foreign", NOW - DAY, ours=False),
        part("leaving", NOW - DAY, detaching=True),
        part("done", NOW - DAY, settled=True),
    )
    assert [found.name for found in due(partitions, NOW)] == ["closed", "older"]


@pytest.fixture
def closed(kept: tuple[sa.Connection, Names], database: Database) -> str:
    """A partition of the day before yesterday with rows in it, the only one that is due."""
    connection, names = kept
    moment = now_of(connection) - 2 * DAY
    name = make_partition(connection, names, moment)
    insert(database, moment)
    assert name in care_for(kept)  # together with the ledger's
    return name


def insert(database: Database, moment: datetime, rows: int = 200) -> None:
    """Add rows of a moment."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
            "SELECT gen_random_uuid(), 1, %s, 20, 'INFO', 'app', 'host', 'text' FROM generate_series(1, %s)",
            [moment, rows],
        )
        connection.execute("SELECT pg_stat_force_next_flush()")


def care_for(kept: tuple[sa.Connection, Names]) -> list[str]:
    """Look after what is closed; the names of what was done."""
    return [*look_after(*kept, now_of(kept[0]))]


def test_a_closed_partition_is_frozen_and_analyzed_once(
    kept: tuple[sa.Connection, Names], database: Database, closed: str
) -> None:
    """Its rows are frozen, the planner knows their number, and the next run has nothing to do."""
    with database.connect() as connection:
        rows, visible, pages = connection.execute(
            "SELECT reltuples, relallvisible, relpages FROM pg_class WHERE relname = %s", [closed]
        ).fetchall()[0]
        oldest = connection.execute("SELECT age(relfrozenxid) FROM pg_class WHERE relname = %s", [closed]).fetchall()
    assert rows == 200
    assert visible == pages > 0
    assert oldest[0][0] < 50
    assert next(found for found in of(*kept, "logs") if found.name == closed).settled
    assert care_for(kept) == []


def test_late_rows_are_looked_after_too(kept: tuple[sa.Connection, Names], database: Database, closed: str) -> None:
    """Rows that come or go after the first time make the partition due again."""
    insert(database, now_of(kept[0]) - 2 * DAY, rows=1)
    assert care_for(kept) == [closed]
    with database.connect() as connection:
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(closed)))
        connection.execute("SELECT pg_stat_force_next_flush()")
    assert care_for(kept) == [closed]
    assert care_for(kept) == []


def test_what_an_old_transaction_keeps_is_done_later(
    kept: tuple[sa.Connection, Names], database: Database, closed: str
) -> None:
    """While rows cannot be frozen, because an old snapshot may not see them, the partition stays due."""
    with database.connect() as reader, reader.transaction():
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM dblog_logs")
        insert(database, now_of(kept[0]) - 2 * DAY, rows=1)
        with kept[0].begin():
            kept[0].execute(sa.text(f"COMMENT ON TABLE {closed} IS 'dblog partition of public.dblog_logs'"))
        assert care_for(kept) == [closed]
        assert care_for(kept) == [closed]
    assert care_for(kept) == [closed]
    assert care_for(kept) == []


def test_what_somebody_else_works_on_is_left_to_the_next_run(
    kept: tuple[sa.Connection, Names], database: Database, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition that is locked is passed over; adding and reading rows does not lock it."""
    monkeypatch.setattr("dblog.store.care.LOCK_TIMEOUT", "20ms")
    moment = now_of(kept[0]) - 2 * DAY
    insert(database, moment)
    with database.connect() as other, other.transaction():
        other.execute(sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(sql.Identifier(closed)))
        assert care_for(kept) == []
    with database.connect() as writer, writer.transaction():
        writer.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(closed)))
        writer.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(closed)))
        assert care_for(kept) == [closed]


def test_a_mark_of_expiry_is_kept(kept: tuple[sa.Connection, Names], database: Database, closed: str) -> None:
    """A partition that another process has found expired meanwhile keeps that mark."""
    insert(database, now_of(kept[0]) - 2 * DAY)
    with database.connect() as pruner:
        mark = "COMMENT ON TABLE {} IS 'dblog partition of public.dblog_logs, expired'"
        pruner.execute(sql.SQL(mark).format(sql.Identifier(closed)))
        care_for(kept)
        comment = pruner.execute("SELECT obj_description(%s::regclass, 'pg_class')", [closed]).fetchone()
    assert comment == ("dblog partition of public.dblog_logs, expired",)


def test_a_table_that_is_gone_meanwhile_is_passed_over(kept: tuple[sa.Connection, Names], database: Database) -> None:
    """A partition that is dropped after it was listed does not keep the others from being looked after."""
    connection, names = kept
    older, newer = (make_partition(connection, names, now_of(connection) - days * DAY) for days in (3, 2))
    running = look_after(connection, names, now_of(connection))
    assert next(running) == newer
    with psycopg.connect(database.dsn, autocommit=True) as other:
        other.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(older)))
    assert older not in [*running]
