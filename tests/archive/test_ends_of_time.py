"""Rows of the first and the last days that there are: they come back like all others, or are refused by name."""

import psycopg
import pytest
import sqlalchemy as sa
from archived import bring_back, drop, noon, partition_of, table_of, take
from servers import Database

from dblog.archive import archiver
from dblog.archive.catalog import Archive
from dblog.cli.main import run
from dblog.errors import DblogError
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]


def attach(connection: psycopg.Connection, name: str, start: str, end: str) -> None:
    """Make a partition with any bounds."""
    connection.execute(f"CREATE TABLE {name} PARTITION OF dblog_logs FOR VALUES FROM ({start}) TO ({end})".encode())


def log(connection: psycopg.Connection, *moments: str) -> None:
    """Store a record of each moment."""
    for moment in moments:
        connection.execute(
            "INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, message) "
            "VALUES (gen_random_uuid(), 1, %s, 20, 'INFO', 'app', 'web-1', 'odd')",
            [moment],
        )


def test_rows_of_the_ends_of_time_come_back(database: Database, kept: Kept, archive: Archive) -> None:
    """The first and the last moments that a program can name are archived and restored, and every command goes on."""
    with database.connect() as connection:
        attach(connection, "early", "MINVALUE", "'2000-01-01'")
        attach(connection, "late", "'9000-01-01'", "MAXVALUE")
        log(connection, "0001-01-01 00:00:00+00", "9999-12-30 12:00+00", "9999-12-31 23:59:59.999999+00")
    before = table_of(database)
    for name in ("early", "late"):
        take(kept, name, archive, "jsonl")
        drop(database, name)
    assert [back.restored for back in bring_back(kept, archive)] == [1, 1, 1]
    assert table_of(database) == before
    assert [back.restored for back in bring_back(kept, archive)] == [0, 0, 0]
    for command in (["prune", "--dry-run"], ["stats"], ["verify"]):
        assert run([*command, "--dsn", database.dsn]) == 0


@pytest.mark.parametrize("moment", ["-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00", "infinity"])
def test_a_time_that_is_no_day_keeps_the_table(database: Database, kept: Kept, archive: Archive, moment: str) -> None:
    """A row of a time that no folder can be named after is itself named, and nothing of its partition is archived."""
    with database.connect() as connection:
        attach(connection, "odd", *(("MINVALUE", "'2000-01-01'") if moment < "1" else ("'9000-01-01'", "MAXVALUE")))
        log(connection, moment)
    with pytest.raises(DblogError) as raised:
        archiver(archive.store.location, kept[1])(kept[0], "odd")
    assert f'"odd" cannot be archived: it has a row of {moment};' in str(raised.value)
    assert archive.days() == []


@pytest.mark.parametrize("moment", ["-infinity", "0044-03-15 12:00:00+00 BC", "infinity"])
def test_a_time_that_parquet_does_not_know_keeps_the_table(
    database: Database, kept: Kept, archive: Archive, moment: str
) -> None:
    """A value in any other column that would come back as another one is named; JSON lines take it as it is."""
    partition = partition_of(database, 20)
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD until timestamptz")
        log(connection, noon(20).isoformat())
        connection.execute("UPDATE dblog_logs SET until = %s", [moment])
    with pytest.raises(DblogError, match=f"cannot be written as parquet: .*{moment.partition('+')[0]}"):
        archiver(archive.store.location, kept[1], "parquet")(kept[0], partition)
    before = table_of(database)
    archiver(archive.store.location, kept[1], "jsonl")(kept[0], partition)
    drop(database, partition)
    assert [back.restored for back in bring_back(kept, archive)] == [1]
    assert table_of(database) == before


def test_bounds_that_are_no_days_are_understood(
    database: Database, kept: Kept, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    """Partitions that somebody gave bounds beyond the calendar keep no command from working."""
    with database.connect() as connection:
        attach(connection, "early", "'-infinity'", "'0044-01-01 BC'")
        attach(connection, "middle", "'0044-01-01 BC'", "'2000-01-01'")
        attach(connection, "late", "'9000-01-01'", "'20000-01-01'")
        attach(connection, "last", "'20000-01-01'", "'infinity'")
        log(connection, "1999-01-01 00:00+00", "9999-12-31 12:00+00")
    before = table_of(database)
    assert run(["archive", archive.store.location, "--partition", "middle", "--dsn", database.dsn]) == 0
    take(kept, "late", archive, "jsonl")
    with database.connect() as connection:
        connection.execute("TRUNCATE dblog_logs")
    assert [back.restored for back in bring_back(kept, archive)] == [1, 1]
    assert table_of(database) == before
    assert run(["prune", "--dry-run", "--dsn", database.dsn]) == 0


def test_beside_later_partitions_the_last_moment_has_a_home(database: Database, kept: Kept, archive: Archive) -> None:
    """The last moment that a program can name comes back also where partitions of times after it are there."""
    with database.connect() as connection:
        attach(connection, "late", "'9000-01-01'", "'10000-01-01 00:00+00'")
        attach(connection, "beyond", "'10000-01-01 00:00+00'", "'infinity'")
        log(connection, "9999-12-31 23:59:59.999999+00")
    before = table_of(database)
    take(kept, "late", archive, "jsonl")
    drop(database, "late")
    assert [back.restored for back in bring_back(kept, archive)] == [1]
    assert table_of(database) == before
    assert run(["prune", "--dry-run", "--dsn", database.dsn]) == 0
