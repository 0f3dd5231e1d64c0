"""What was archived and dropped comes back as it was."""

from datetime import datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from archived import archive_at, bring_back, drop, fill, midnight, noon, partition_of, table_of, take
from records import insert
from servers import Database

from dblog.archive.catalog import Archive
from dblog.archive.formats import FormatName
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]

FORMS = pytest.mark.parametrize("form", ["parquet", "jsonl"])


@FORMS
def test_rows_come_back_identical(database: Database, kept: Kept, archive: Archive, form: FormatName) -> None:
    """Every column of odd rows, with id and created_at, is the same after archive, drop and restore, and again."""
    with database.connect() as connection:
        fill(connection, 20)
    before, partition = table_of(database), partition_of(database, 20)
    (done,) = take(kept, partition, archive, form)
    assert (done.rows, done.written, done.day) == (len(before), len(before), noon(20).date())
    drop(database, partition)
    for came in (len(before), 0):
        (back,) = bring_back(kept, archive)
        assert (back.rows, back.restored) == (len(before), came)
        assert table_of(database) == before


@FORMS
def test_archiving_twice_writes_once(database: Database, kept: Kept, archive: Archive, form: FormatName) -> None:
    """A partition that the archive has is compared, thoroughly or by its rows, and not written again."""
    with database.connect() as connection:
        fill(connection, 20)
    partition = partition_of(database, 20)
    take(kept, partition, archive, form)
    for thorough in (False, True):
        (again,) = take(kept, partition, archive, "jsonl", thorough=thorough)
        assert (again.written, again.file) == (0, None)
    assert len(archive.files()) == 1


def test_late_rows_join_what_is_archived(database: Database, kept: Kept, archive: Archive) -> None:
    """Where a partition was dropped and has come back with a few late rows, those are added and nothing is replaced."""
    partition = partition_of(database, 20)
    with database.connect() as connection:
        fill(connection, 20)
        first = take(kept, partition, archive, "parquet")
        everything = table_of(database)
        drop(database, partition)
        partition_of(database, 20)
        insert(connection, {"timestamp": noon(20), "message": "late"})
    late = table_of(database)
    (done,) = take(kept, partition, archive, "jsonl", thorough=True)
    assert (done.rows, done.written) == (1, 1)
    assert sorted(file.manifest.rows for file in archive.files()) == [1, first[0].rows]
    drop(database, partition)
    bring_back(kept, archive)
    assert sorted(table_of(database)) == sorted(everything + late)


def test_a_changed_row_is_no_known_row(database: Database, kept: Kept, archive: Archive) -> None:
    """As many rows with another content are found by a thorough comparison, and the newer one is restored."""
    partition = partition_of(database, 20)
    with database.connect() as connection:
        fill(connection, 20)
        take(kept, partition, archive, "parquet")
        connection.execute("UPDATE dblog_logs SET extra_data = '{\"n\": 1.1}' WHERE message = 'plain'")
    changed = table_of(database)
    (done,) = take(kept, partition, archive, "parquet", thorough=True)
    assert done.written == 1
    drop(database, partition)
    bring_back(kept, archive)
    assert table_of(database) == changed


@pytest.mark.parametrize(("granularity", "files"), [("hour", 4), ("month", 2)])
def test_other_partitions_are_split_by_day(
    database: Database, kept: Kept, archive: Archive, granularity: str, files: int
) -> None:
    """Hours become several files of one day, a month becomes one file for each of its days."""
    first = (midnight() - timedelta(days=65)).replace(day=10, hour=10)
    with database.connect() as connection:
        connection.execute("UPDATE dblog_settings SET value = %s WHERE name = 'partition_by'", [granularity])
        for moment in (
            first,
            first + timedelta(hours=3),
            first + timedelta(days=1),
            first + timedelta(days=1, hours=3),
        ):
            connection.execute("SELECT dblog_make_partition(%s)", [moment])
            insert(connection, {"timestamp": moment})
        before, partitions = table_of(database), partitions_with_rows(connection)
    for partition in partitions:
        take(kept, partition, archive, "jsonl")
    assert [file.day for file in archive.files()] == sorted(2 * [first.date(), first.date() + timedelta(days=1)])[
        :: 4 // files
    ]
    for partition in partitions:
        drop(database, partition)
    bring_back(kept, archive)
    assert table_of(database) == before


def partitions_with_rows(connection: psycopg.Connection) -> list[str]:
    """The names of the partitions that hold something."""
    return [str(name) for (name,) in connection.execute("SELECT DISTINCT tableoid::regclass::text FROM dblog_logs")]


def test_a_column_of_the_application_is_kept(database: Database, kept: Kept, archive: Archive) -> None:
    """Columns that were added to the table are archived with their type and come back."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD price numeric(10, 4), ADD span interval, ADD marks text[]")
        fill(connection, 20)
        connection.execute("UPDATE dblog_logs SET price = 1.5, span = '1 day 2.5 s', marks = '{a,NULL,\"\"}'")
    before, partition = table_of(database), partition_of(database, 20)
    take(kept, partition, archive, "parquet")
    drop(database, partition)
    bring_back(kept, archive)
    assert table_of(database) == before


def test_rows_older_than_any_writer_come_back(database: Database, kept: Kept, archive: Archive) -> None:
    """Rows for which no partition is made on demand any more get one from the restore, between those that are there."""
    moment = midnight() - timedelta(days=900, hours=-12)
    partition = f"dblog_logs_p{moment:%Y%m%d}"
    with database.connect() as connection:
        attach(connection, partition, moment - timedelta(hours=13), moment + timedelta(hours=1))
        insert(connection, {"timestamp": moment, "message": "old"})
        before = table_of(database)
        take(kept, partition, archive, "jsonl")
        drop(database, partition)
        attach(connection, partition, moment - timedelta(hours=13), moment - timedelta(hours=2))
        attach(connection, "later", moment + timedelta(hours=1), moment + timedelta(days=2))
    bring_back(kept, archive)
    assert table_of(database) == before


def attach(connection: psycopg.Connection, name: str, start: datetime, end: datetime) -> None:
    """Make a partition with any bounds."""
    bounds = f"FROM ('{start}') TO ('{end}')"
    connection.execute(f"CREATE TABLE {name} PARTITION OF dblog_logs FOR VALUES {bounds}".encode())


def test_nothing_of_an_empty_partition_is_written(database: Database, kept: Kept, archive: Archive) -> None:
    """A partition without rows leaves no file, no folder and no error."""
    assert take(kept, partition_of(database, 20), archive, "jsonl") == []
    assert archive_at(archive.store.location).days() == []


def test_a_session_is_not_needed_beyond_a_transaction(database: Database, kept: Kept, archive: Archive) -> None:
    """Archiving and restoring work where each transaction may get another session, as PgBouncer gives them."""
    sa.event.listen(kept[0].engine, "begin", lambda begun: begun.exec_driver_sql("DISCARD TEMP"))
    with database.connect() as connection:
        fill(connection, 20)
        fill(connection, 21)
    before, partitions = table_of(database), [partition_of(database, days) for days in (20, 21)]
    for partition in (*partitions, *partitions):
        take(kept, partition, archive, "jsonl", thorough=True)
    for partition in partitions:
        drop(database, partition)
    assert sum(back.restored for back in bring_back(kept, archive)) == len(before)
    assert table_of(database) == before


def test_a_default_partition_keeps_no_row_from_coming_back(database: Database, kept: Kept, archive: Archive) -> None:
    """Where somebody has made one, partitions are made beside it, though a restore has looked into it before."""
    with database.connect() as connection:
        fill(connection, 20)
        before, partition = table_of(database), partition_of(database, 20)
        take(kept, partition, archive, "jsonl")
        drop(database, partition)
        connection.execute("CREATE TABLE others PARTITION OF dblog_logs DEFAULT")
    bring_back(kept, archive)
    assert table_of(database) == before
