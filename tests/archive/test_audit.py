"""Restored rows and the audit: they count once, and are neither unknown nor missing."""

from datetime import timedelta

import audits
import sqlalchemy as sa
from archived import bring_back, drop, fill, midnight, noon, partition_of, table_of, take
from records import insert
from servers import Database

from dblog.archive.catalog import Archive
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]


def test_restored_rows_are_proven(database: Database, kept: Kept, archive: Archive) -> None:
    """Rows that came back are no fault: with their batches, without them, and with rows that were deleted since."""
    with database.connect() as connection:
        fill(connection, 20)
        forgotten = insert(connection, {"timestamp": noon(20)}, {"timestamp": noon(20) + timedelta(hours=1)})
        thinned = insert(connection, {"timestamp": noon(20)}, {"timestamp": noon(20), "level": "DEBUG"})
        partition, before = partition_of(database, 20), table_of(database)
        take(kept, partition, archive, "jsonl")
        connection.execute("DELETE FROM dblog_logs WHERE level = 'DEBUG'")
        connection.execute("UPDATE dblog_batches SET rows_removed = 1 WHERE writer_id = %s", [thinned])
        connection.execute("DELETE FROM dblog_batches WHERE writer_id = %s", [forgotten])
        drop(database, partition)
        horizon = (midnight() - timedelta(days=19)).isoformat()
        connection.execute("INSERT INTO dblog_settings VALUES ('pruned_before', %s)", [horizon])
    assert all(account.proven for account in audits.accounts(database))
    bring_back(kept, archive)
    assert table_of(database) == before
    found = audits.accounts(database)
    assert all(account.proven for account in found)
    assert forgotten not in {account.writer_id for account in found}


def test_a_row_too_many_is_still_found_on_a_restored_day(database: Database, kept: Kept, archive: Archive) -> None:
    """What was restored excuses no row that was not stored."""
    with database.connect() as connection:
        writer = insert(connection, {"timestamp": noon(20)})
        partition = partition_of(database, 20)
        take(kept, partition, archive, "jsonl")
        drop(database, partition)
        bring_back(kept, archive)
        connection.execute(
            "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
            "SELECT writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message FROM dblog_logs"
        )
    (account,) = audits.accounts(database, writer)
    assert account.doubled.batches == 1
