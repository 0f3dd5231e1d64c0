"""A restore through a pooler, and beside others: one transaction at a time, and no lock that it does not need."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import pytest
import sqlalchemy as sa
from archived import bring_back, drop, fill, noon, partition_of, table_of, take
from servers import Database

from dblog.archive.catalog import Archive
from dblog.archive.stores import LocalStore
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]


@pytest.fixture
def before(database: Database, kept: Kept, archive: Archive) -> list[tuple[str]]:
    """The table as it was archived; then a partition was dropped, and another has lost a row."""
    with database.connect() as connection:
        for days in (20, 21):
            fill(connection, days)
            take(kept, partition_of(database, days), archive, "jsonl")
        found = table_of(database)
        drop(database, partition_of(database, 21))
        connection.execute('DELETE FROM dblog_logs WHERE "timestamp" = %s', [noon(20)])
    return found


def test_one_connection_is_enough(database: Database, kept: Kept, archive: Archive, before: list[tuple[str]]) -> None:
    """No transaction is open while another one is needed, so a pooler that has one connection has enough."""
    opened = list[sa.Connection]()

    @sa.event.listens_for(kept[0].engine, "engine_connect")
    def count(connection: sa.Connection) -> None:
        opened.append(connection)

    assert [back.restored for back in bring_back(kept, archive)] == [10, 1]
    assert (table_of(database), opened) == (before, [])


def test_the_table_is_free_while_files_are_read(
    database: Database, kept: Kept, archive: Archive, before: list[tuple[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its rows are compared and put in, a restore has no lock on the table, so that nobody waits for it."""
    read, plain = list[str](), LocalStore.reading

    def reading(store: LocalStore, path: str) -> AbstractContextManager[IO[bytes]]:
        if path.endswith(".gz"):
            read.append(Path(path).parent.name)
            with database.connect() as other, other.transaction():
                other.execute("LOCK TABLE dblog_logs IN ACCESS EXCLUSIVE MODE NOWAIT")
        return plain(store, path)

    monkeypatch.setattr(LocalStore, "reading", reading)
    bring_back(kept, archive)
    assert table_of(database) == before
    assert read == [f"date={noon(days).date()}" for days in (21, 20, 20)]  # a day that is gone is read once


def test_types_with_a_length_are_staged(database: Database, kept: Kept, archive: Archive) -> None:
    """Columns of an application whose types have a length, or a domain with a rule, are compared and come back."""
    with database.connect() as connection:
        connection.execute("CREATE DOMAIN code AS varchar(3) NOT NULL DEFAULT 'abc'")
        connection.execute("ALTER TABLE dblog_logs ADD \"A b\" char(5) DEFAULT 'x', ADD bits bit(4) DEFAULT B'1010'")
        connection.execute("ALTER TABLE dblog_logs ADD code code, ADD price numeric(6, 2) DEFAULT 1.5")
        fill(connection, 20)
    partition, before = partition_of(database, 20), table_of(database)
    for written in (len(before), 0):
        assert [done.written for done in take(kept, partition, archive, "jsonl", thorough=True)] == [written]
    drop(database, partition)
    bring_back(kept, archive)
    assert table_of(database) == before
