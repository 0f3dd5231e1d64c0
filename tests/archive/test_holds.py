"""What came back is left alone by the retention: the partitions that got rows, as long as the last restore asks for."""

import threading
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from archived import drop, fill, midnight, noon, partition_of, table_of, take
from eventually import eventually
from records import insert
from servers import Database

from dblog.archive.catalog import Archive
from dblog.archive.restoring import restore
from dblog.store.engine import keeping
from dblog.store.horizons import forget_others, holds_of, record_hold
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]


def holds(kept: Kept) -> dict[str, date]:
    """The partitions that are held, with the day until which they are."""
    with kept[0].begin():
        return {name: until.astimezone(UTC).date() for name, until in holds_of(*kept).items()}


def bring_back(kept: Kept, archive: Archive, keep_days: int) -> int:
    """Restore everything; returns how many rows came."""
    return sum(done.restored for done in restore(*kept, archive, archive.files(), keep_days=keep_days))


def in_days(days: int) -> date:
    """The UTC day in so many days."""
    return (midnight() + timedelta(days=days)).date()


def partitions(database: Database) -> list[str]:
    """The partitions of the records of the 20th day before."""
    with database.connect() as connection:
        found = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'dblog_logs'::regclass "
            "AND inhrelid::regclass::text LIKE %s ORDER BY 1",
            [f"dblog_logs_p{noon(20):%Y%m%d}%"],
        )
        return [str(name) for (name,) in found]


def test_what_got_rows_is_held_and_nothing_else(database: Database, kept: Kept, archive: Archive) -> None:
    """No partition is made where no row belongs, and none is held that has all of its rows already."""
    day = partition_of(database, 20)
    with database.connect() as connection:
        insert(connection, *({"timestamp": noon(20) + timedelta(hours=hour)} for hour in (0, 3, 8)))
        before = table_of(database)
        take(kept, day, archive, "jsonl")
        drop(database, day)
        connection.execute("UPDATE dblog_settings SET value = 'hour' WHERE name = 'partition_by'")
        assert bring_back(kept, archive, 7) == 3
        first, second, third = partitions(database)
        assert holds(kept) == dict.fromkeys((first, second, third), in_days(7))
        connection.execute("DELETE FROM dblog_settings WHERE name LIKE 'hold %'")
        connection.execute('DELETE FROM dblog_logs WHERE "timestamp" = %s', [noon(20)])
        drop(database, third)
    assert bring_back(kept, archive, 7) == 2
    assert holds(kept) == dict.fromkeys((first, third), in_days(7))
    assert table_of(database) == before


def test_a_hold_that_runs_is_renewed(database: Database, kept: Kept, archive: Archive) -> None:
    """Restoring again, for longer, keeps what an earlier one brought back; for a shorter time it changes nothing."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    take(kept, partition, archive, "jsonl")
    drop(database, partition)
    for keep_days, until in ((7, 7), (30, 30), (3, 30)):
        bring_back(kept, archive, keep_days)
        assert holds(kept) == {partition: in_days(until)}


def test_a_hold_that_is_over_is_renewed_as_long_as_no_prune_came(
    database: Database, kept: Kept, archive: Archive
) -> None:
    """Restoring again after the days are over keeps what is still there, though no row has to come back."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    take(kept, partition, archive, "jsonl")
    with kept[0].begin():
        record_hold(*kept, partition, datetime.now(UTC) - timedelta(days=1))
    assert bring_back(kept, archive, 7) == 0
    assert holds(kept) == {partition: in_days(7)}


def test_a_hold_renewed_meanwhile_is_not_forgotten(database: Database, kept: Kept) -> None:
    """A prune that found a hold to be over looks again once whoever renews it has committed."""
    now = datetime.now(UTC)
    with kept[0].begin():
        record_hold(*kept, "part", now - timedelta(days=1))

    def forget() -> None:
        with keeping(database.settings.database) as (connection, names), connection.begin():
            forget_others(connection, names, [], now)

    pruning = threading.Thread(target=forget)
    with kept[0].begin():
        record_hold(*kept, "part", now + timedelta(days=7))
        pruning.start()
        eventually(lambda: waits_for_a_row(database), "a delete that waits for the renewal")
    pruning.join()
    assert list(holds(kept)) == ["part"]


def waits_for_a_row(database: Database) -> bool:
    """Whether a statement in the database waits for another transaction."""
    with database.connect() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"
        ).fetchone()
    return found != (0,)
