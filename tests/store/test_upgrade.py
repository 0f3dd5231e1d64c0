"""Upgrading tables that are written to and read, and writing to tables of another revision."""

from threading import Thread

import pytest
from crashes import killed_at_each_statement
from eventually import eventually
from migrated import prepare
from servers import Database
from upgraded import catalogue, make_revision
from writers import Writers

from dblog.columns import SCHEMA_REVISION, takes_records
from dblog.errors import DatabaseError
from dblog.store import migrate
from dblog.store.engine import connected, installed_revision
from dblog.store.layout import Layout


@pytest.fixture
def old(empty_database: Database) -> Database:
    """A database whose tables have the first revision."""
    make_revision(empty_database, "0001")
    return empty_database


def upgrade(database: Database, attempts: int = migrate.ATTEMPTS) -> bool:
    """What `dblog init` does first."""
    with connected(database.settings.database) as (connection, names):
        return migrate.upgrade(connection, Layout(names, "day", "standard"), attempts=attempts)


def revision(database: Database) -> str | None:
    """The revision of the tables."""
    with connected(database.settings.database) as (connection, names):
        return installed_revision(connection, names)


def test_upgraded_tables_equal_new_ones(old: Database) -> None:
    """An upgrade ends where new tables begin."""
    assert upgrade(old)
    upgraded = catalogue(old)
    with connected(old.settings.database) as (connection, names):
        migrate.downgrade(connection, Layout(names, "day", "standard"))
    prepare(old)
    assert upgraded == catalogue(old)


def test_a_table_in_use_is_upgraded(old: Database) -> None:
    """While four writers copy without a pause and a transaction has read the records, it is made."""
    with old.connect() as reader, reader.transaction(), Writers(old, 4) as writers:
        reader.execute("SELECT count(*) FROM dblog_logs")
        writers.wait_for_batches(4)
        assert upgrade(old)
        writers.wait_for_batches(4)
    assert revision(old) == SCHEMA_REVISION
    assert writers.stored() == writers.committed()


def test_whoever_reads_the_ledger_is_not_disturbed_and_named(old: Database) -> None:
    """Where the ledger is never free the upgrade gives up, names who uses it, changes nothing, and works later."""
    before = catalogue(old)
    with old.connect() as reader, reader.transaction(), Writers(old, 1) as writers:
        reader.execute("SELECT count(*) FROM dblog_batches")
        with pytest.raises(DatabaseError, match=rf"server processes: .*\b{reader.info.backend_pid}\b"):
            upgrade(old, attempts=1)
        writers.wait_for_batches(2)
    assert catalogue(old) == before
    assert upgrade(old)


def test_a_lock_that_is_held_for_a_moment_is_waited_for(old: Database) -> None:
    """The upgrade tries again until the ledger is free."""
    with old.connect() as reader:
        reader.execute("BEGIN; SELECT count(*) FROM dblog_batches")
        running = Thread(target=upgrade, args=(old,))
        running.start()
        eventually(lambda: waiting(old), "the upgrade waiting for the ledger")
        eventually(lambda: not waiting(old), "the end of the first attempt")
        reader.rollback()
        running.join()
    assert revision(old) == SCHEMA_REVISION


def waiting(database: Database) -> bool:
    """Whether somebody waits for a lock on the ledger."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT FROM pg_locks WHERE relation = 'dblog_batches'::regclass AND NOT granted"
        ).fetchone()
    return row is not None


def test_delivery_does_not_wait_for_an_upgrade(old: Database) -> None:
    """An application that cannot upgrade the tables soon goes on with them as they are; the next one tries again."""
    with old.connect() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM dblog_batches")
        prepare(old)
    assert revision(old) == "0001"
    prepare(old)
    assert revision(old) == SCHEMA_REVISION


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.torture)])
def test_killed_at_any_statement_the_next_run_finishes(old: Database, every: int) -> None:
    """Whatever statement of an upgrade is the last one of a process, the tables are wholly old or wholly new."""
    before = catalogue(old)
    states = []
    for _ in killed_at_each_statement(lambda: upgrade(old), every):
        states.append(catalogue(old))
        if states[-1] != before:
            break
    assert not upgrade(old)
    assert len(states) > 3
    assert catalogue(old) == states[-1]
    assert states[:-1] == [before] * (len(states) - 1)


@pytest.mark.parametrize(
    ("found", "oldest_writer", "goes_on"),
    [
        ("0000", None, False),
        ("0001", None, True),
        ("0002", "0001", True),
        ("9999", "0001", True),
        ("9999", SCHEMA_REVISION, True),
        ("9999", "9998", False),
        ("9999", None, False),
    ],
)
def test_writers_go_on_where_both_sides_agree(found: str, oldest_writer: str | None, goes_on: bool) -> None:
    """Older tables are written to as far back as this release can, later ones where they say that it may."""
    assert takes_records(found, oldest_writer) is goes_on
