"""What the audit tells of the writers themselves: whether they ended, what they lost, and that work is no alarm."""

import logging
import threading
from collections.abc import Iterable
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from audits import accounts, note
from eventually import PATIENCE, eventually
from psycopg.types.json import Jsonb
from records import insert
from servers import Database

from dblog import DatabaseLogHandler
from dblog.reading.audit import NONE, Account
from dblog.reading.notes import UncleanEnd


def test_what_waits_is_counted(database: Database, connection: psycopg.Connection) -> None:
    """An open writer shows how many records it had taken that are not delivered; that alone disproves nothing."""
    insert(connection, {}, {})
    connection.execute("UPDATE dblog_batches SET accepted = 9, rows_rejected = 1")
    (account,) = accounts(database)
    assert (account.state, account.undelivered, account.refused_rows) == ("open", 6, 1)
    assert account.proven


def test_an_unclean_end_is_told_with_its_bound(database: Database, connection: psycopg.Connection) -> None:
    """What another writer found about a dead one is shown; that alone is no proof of a missing record."""
    dead = insert(connection, {})
    silent = uuid4()
    seen = "2026-11-21T09:33:31+00:00"
    finder = note(connection, event="unclean_end", writer_id=dead.hex, waiting=7, last_seen=seen, durability="memory")
    note(connection, event="unclean_end", writer_id=silent.hex, waiting=None, last_seen=None, durability=None)
    found = {account.writer_id: account for account in accounts(database)}
    assert (found[dead].state, found[dead].notes.unclean_end) == ("ended uncleanly", UncleanEnd(7, seen, False))
    assert (found[silent].state, found[silent].notes.unclean_end) == ("ended uncleanly", UncleanEnd(None, None, False))
    assert found[finder].state == "open"
    assert all(account.proven for account in found.values())


def test_recorded_losses_are_summed(database: Database, connection: psycopg.Connection) -> None:
    """Dropped and printed records are known not to be in the table, whatever their number and level."""
    writer = insert(connection, {})
    note(connection, event="losses", writer_id=writer.hex, dropped={"10": 3, "20": 1}, printed={}, rejected={"40": 2})
    note(connection, event="losses", writer_id=writer.hex, dropped={"10": 5}, printed={"40": 1}, rejected={})
    (account,) = accounts(database, writer)
    assert (account.notes.dropped, account.notes.printed, account.notes.rejected) == (9, 1, 2)
    assert not account.proven


@pytest.mark.parametrize(
    "extra",
    [
        None,
        [1],
        "text",
        {"event": "losses"},
        {"event": "losses", "writer_id": "me"},
        {"event": "losses", "writer_id": "0" * 32, "dropped": 3, "printed": {"20": "many"}, "rejected": [1]},
        {"event": ["losses"], "writer_id": {}},
    ],
)
def test_records_of_another_shape_say_nothing(
    extra: object, database: Database, connection: psycopg.Connection
) -> None:
    """An application may use the same logger; its records are neither losses nor a reason to fail."""
    insert(connection, {"logger_name": "dblog"})
    connection.execute("UPDATE dblog_logs SET extra_data = %s", [Jsonb(extra)])
    assert all(account.proven for account in accounts(database))


def test_writers_at_work_raise_no_alarm(database: Database) -> None:
    """While handlers deliver small batches, each audit sees a batch whole or not at all."""
    patient = partial(DatabaseLogHandler, close_timeout=PATIENCE)
    handlers = [patient(database.dsn, batch_size=20, flush_interval=0.01) for _ in range(2)]
    stop = threading.Event()
    threads = [threading.Thread(target=_log_until, args=(stop, handler)) for handler in handlers]
    try:
        for thread in threads:
            thread.start()
        eventually(lambda: len(accounts(database)) == len(handlers), "the first batches")
        seen = [accounts(database) for _ in range(20)]
        eventually(lambda: rows_of(accounts(database)) > rows_of(seen[-1]), "further batches")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for handler in handlers:
            handler.close()
    assert all(account.proven for audit in seen for account in audit)
    assert [(account.proven, account.state, account.missing) for account in accounts(database)] == [
        (True, "closed", NONE)
    ] * 2


def rows_of(audit: Iterable[Account]) -> int:
    """The rows that an audit has seen."""
    return sum(account.table_rows for account in audit)


def _log_until(stop: threading.Event, handler: DatabaseLogHandler) -> None:
    logger = logging.Logger("test.audit")
    logger.addHandler(handler)
    while not stop.wait(0.0001):
        logger.info("at work")
