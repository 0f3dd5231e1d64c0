"""Writers that closed in order: what they had taken is stored or refused, or it is named."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from audits import accounts
from eventually import PATIENCE, eventually
from records import insert
from servers import Database

from dblog import DatabaseLogHandler
from dblog.cli.main import run
from dblog.reading.audit import Account

NOWHERE = "host=127.0.0.1 port=1 user=app dbname=app"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger that leads nowhere yet; its handlers are closed at the end."""
    made = logging.Logger("test.closing")
    yield made
    for handler in made.handlers:
        handler.close()


def attach(logger: logging.Logger, database: Database, directory: Path | None, **arguments: Any) -> DatabaseLogHandler:
    """Give a logger a new handler."""
    handler = DatabaseLogHandler(
        database.dsn, **{"spool_dir": directory, "flush_interval": 0.01, "close_timeout": PATIENCE} | arguments
    )
    logger.addHandler(handler)
    return handler


def account_of(database: Database, handler: DatabaseLogHandler) -> Account:
    """The account of a handler's writer, and of no other."""
    (found,) = accounts(database, UUID(handler.stats().writer_id))
    return found


def refuse(connection: psycopg.Connection) -> None:
    """Have the table refuse the message `bad`."""
    connection.execute("ALTER TABLE dblog_logs ADD CONSTRAINT fine CHECK (message <> 'bad')")


def test_a_closed_writer_of_which_records_are_nowhere_is_not_proven(
    database: Database, connection: psycopg.Connection
) -> None:
    """Where another's rows were stored under the number of its batch, the sums do not match, and it is named."""
    writer = insert(connection, {}, {})
    connection.execute(
        "INSERT INTO dblog_batches (birth_day, writer_id, batch_seq, rows_stored, rows_rejected, accepted, closing, "
        "hostname, process_id) SELECT birth_day, writer_id, 2, 0, 0, 5, true, hostname, process_id FROM dblog_batches"
    )
    (account,) = accounts(database, writer)
    assert (account.state, account.gaps, account.unaccounted) == ("closed", 0, 3)
    assert not account.proven


def test_a_copy_of_a_living_journal_is_found_out(
    database: Database, logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy that is delivered first makes the original's batch look like a double: what is lost is named."""
    handler = attach(logger, database, tmp_path / "original", durability="journal", flush_interval=3600)
    writer = handler.stats().writer_id
    logger.info("in both")
    passing = shutil.ignore_patterns("status.json*")  # which the worker may be replacing
    shutil.copytree(tmp_path / "original" / writer, tmp_path / "copy" / writer, ignore=passing)
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(tmp_path / "copy")]) == 0
    logger.info("in the original alone")
    handler.close()
    assert account_of(database, handler).unaccounted == 1
    capsys.readouterr()
    assert run(["verify", "--dsn", database.dsn, "--writer", writer]) == 1
    named = "closed in order, but 1 record that it had taken is neither stored nor refused"
    assert f"writer {UUID(writer)}: {named}\n" in capsys.readouterr().out


def test_a_batch_behind_the_closing_one_is_waited_for(database: Database, connection: psycopg.Connection) -> None:
    """Where the last batch that is known is no closing one, more may come: nothing is disproved."""
    writer = insert(connection, {}, {})
    connection.execute("UPDATE dblog_batches SET closing = true")
    insert(connection, {}, writer=writer, seq=2)
    connection.execute("UPDATE dblog_batches SET accepted = 9 WHERE batch_seq = 2")
    (account,) = accounts(database, writer)
    assert (account.undelivered, account.unaccounted, account.proven) == (6, 0, True)


@pytest.mark.parametrize("durability", ["memory", "journal"])
def test_refused_rows_are_accounted_for(
    database: Database, connection: psycopg.Connection, logger: logging.Logger, tmp_path: Path, durability: str
) -> None:
    """A writer some of whose rows were refused, and that has noted it, closes with the right sum."""
    refuse(connection)
    handler = attach(logger, database, tmp_path, durability=durability)
    for message in ("good", "bad", "good", "bad"):
        logger.warning(message)
    handler.close()
    account = account_of(database, handler)
    assert (account.state, account.refused_rows, account.undelivered) == ("closed", 2, 0)
    assert account.notes.rejected == 2
    assert account.proven


def test_refused_rows_that_were_sent_again_are_known(
    database: Database, connection: psycopg.Connection, logger: logging.Logger, tmp_path: Path
) -> None:
    """Rows that were refused first and stored later count as sent again, and their derived writer is proven."""
    refuse(connection)
    handler = attach(logger, database, tmp_path)
    for message in ("good", "bad", "bad"):
        logger.warning(message)
    handler.close()
    retry = ["rejected", "retry", "--all", "--dsn", database.dsn, "--spool-dir", str(tmp_path)]
    assert run(retry) == 1  # they are refused again
    assert account_of(database, handler).sent_again == 0
    connection.execute("ALTER TABLE dblog_logs DROP CONSTRAINT fine")
    assert run(retry) == 0
    account = account_of(database, handler)
    assert (account.refused_rows, account.sent_again, account.unaccounted) == (2, 2, 0)
    found = accounts(database)
    assert sum(each.table_rows for each in found if each.derived) == 2
    assert all(each.proven for each in found)


def test_records_dropped_before_they_entered_the_queue_were_never_taken(
    database: Database, logger: logging.Logger
) -> None:
    """An overflow is recorded as lost; the sum of what was taken is right all the same, notes included."""
    handler = attach(logger, database, None, queue_max_bytes=65_536, overflow="drop")
    handler._writer.delivery.database.conninfo = NOWHERE
    for _ in range(3_000):
        logger.debug("x" * 200)
    handler._writer.delivery.database.conninfo = database.dsn
    handler.close()
    dropped = sum(handler.stats().dropped.values())
    account = account_of(database, handler)
    assert dropped > 0
    assert (account.notes.dropped, account.undelivered, account.unaccounted) == (dropped, 0, 0)


def test_what_was_spooled_and_replayed_is_accounted_for(
    database: Database, logger: logging.Logger, tmp_path: Path
) -> None:
    """Batches that waited in the writer's own spool, behind newer ones, are in the sum."""
    handler = attach(logger, database, tmp_path)
    delivery = handler._writer.delivery
    delivery.database.conninfo = NOWHERE
    delivery.pacing.failures = 10
    for _ in range(5):
        logger.warning("waits")
        assert handler.flush()
    delivery.database.conninfo = database.dsn
    delivery.pacing.succeeded()
    logger.warning("fresh")
    eventually(lambda: sum(handler.stats().stored.values()) == 6, "everything to be stored")
    handler.close()
    account = account_of(database, handler)
    assert (account.table_rows, account.undelivered, account.proven) == (6, 0, True)


@pytest.mark.parametrize("durability", ["memory", "journal"])
def test_what_another_writer_delivers_is_accounted_for(
    database: Database, logger: logging.Logger, tmp_path: Path, durability: str
) -> None:
    """A writer that closed while the database was away is proven once another has delivered all that it left."""
    handler = attach(logger, database, tmp_path, durability=durability)
    handler._writer.delivery.database.conninfo = NOWHERE
    for number in range(10):
        logger.warning("number %d", number)
    handler.close(0.5)
    assert accounts(database) == ()
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(tmp_path)]) == 0
    account = account_of(database, handler)
    assert (account.state, account.table_rows, account.undelivered, account.proven) == ("closed", 10, 0, True)
