"""Adopting again from a table that is not what it was: nothing is left out silently, and nothing taken twice."""

import pytest
from ancestor import adopted, fill, make_ancestor, make_table
from audits import accounts
from servers import Database

from dblog.cli.main import run
from dblog.errors import DblogError
from dblog.store.adopting.run import adopt, settled_bound
from dblog.store.adopting.source import find_source
from dblog.store.engine import keeping


def execute(database: Database, statement: str) -> None:
    """Do something to the old table."""
    with database.connect() as connection:
        connection.execute(statement.encode())


def take(database: Database, *options: str) -> int:
    """Adopt from the command line; returns the exit code."""
    return run(["adopt", "app_logs", "--dsn", database.dsn, "--batch-rows", "2", *options])


def rows(first: int, last: int) -> list[str]:
    """The messages of the rows with these numbers."""
    return [f"row {number}" for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("emptied", "kept"),
    [
        ("TRUNCATE app_logs", 2),
        ("TRUNCATE app_logs", 5),
        ("ALTER TABLE app_logs RENAME TO before", 2),
        ("ALTER TABLE app_logs RENAME TO before", 5),
        ("DELETE FROM app_logs", 5),
    ],
)
def test_a_table_that_counts_from_the_start_again_is_refused(
    database: Database, emptied: str, kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """New rows under old numbers are an error that says what to do; `--anew` takes them all, once."""
    make_ancestor(database, 3)
    assert take(database) == 0
    execute(database, emptied)
    if "RENAME" in emptied:
        execute(database, "CREATE TABLE app_logs (LIKE before INCLUDING ALL EXCLUDING DEFAULTS)")
    with database.connect() as connection:
        numbers = f"SELECT n, now(), 'INFO', 'a', 'new ' || n FROM generate_series(1, {kept}) AS n"
        connection.execute(f"INSERT INTO app_logs (id, timestamp, level, logger_name, message) {numbers}".encode())
    capsys.readouterr()
    for options in ([], ["--dry-run"]):
        assert take(database, *options) == 1
        error = capsys.readouterr().err
        assert "was emptied or made anew since 3 of its rows were adopted: --anew takes all" in error
        assert adopted(database) == rows(1, 3)
    assert take(database, "--anew") == take(database, "--anew") == take(database) == 0
    assert adopted(database) == rows(1, 3) + [f"new {number}" for number in range(1, kept + 1)]
    (account,) = accounts(database)
    assert (account.proven, account.state) == (True, "closed")


@pytest.mark.parametrize(
    "changed",
    ["TRUNCATE app_logs", "VACUUM FULL app_logs", "DELETE FROM app_logs WHERE id < 3", "DELETE FROM app_logs"],
)
def test_a_table_that_counts_on_is_the_same(database: Database, changed: str) -> None:
    """Rows with larger numbers are taken, whether the older ones were deleted, truncated or only moved."""
    make_ancestor(database, 3)
    execute(database, "SELECT setval('app_logs_id_seq', 3)")
    assert take(database) == 0
    execute(database, changed)
    with database.connect() as connection:
        fill(connection, 4, 5)
    assert take(database) == 0
    assert adopted(database) == rows(1, 5)


def test_the_files_of_a_table_with_partitions_are_theirs(database: Database) -> None:
    """A partition that is added is no new beginning; where all were emptied and count from 1 again, it is one."""
    columns = "id bigint PRIMARY KEY, timestamp timestamptz, level text, message text"
    execute(database, f"CREATE TABLE app_logs ({columns}) PARTITION BY RANGE (id)")
    for first, last in ((1, 3), (4, 6)):
        execute(database, f"CREATE TABLE from_{first} PARTITION OF app_logs FOR VALUES FROM ({first}) TO ({last + 1})")
        numbers = f"SELECT n, now(), 'INFO', 'row ' || n FROM generate_series({first}, {last}) AS n"
        execute(database, f"INSERT INTO app_logs {numbers}")
        assert take(database) == 0
    assert adopted(database) == rows(1, 6)
    execute(database, "TRUNCATE app_logs")
    execute(database, "INSERT INTO app_logs VALUES (1, now(), 'INFO', 'new')")
    assert take(database) == 1
    assert take(database, "--anew") == 0
    assert adopted(database) == [*rows(1, 6), "new"]


def test_who_knows_better_goes_on(database: Database) -> None:
    """Where the last row was changed, and the table is the same, `--go-on` says so, and only new rows are taken."""
    make_ancestor(database, 3)
    assert take(database) == 0
    execute(database, "UPDATE app_logs SET message = 'changed' WHERE id = 3")
    with database.connect() as connection:
        fill(connection, 4, 4)
    assert take(database) == 1
    assert take(database, "--go-on") == take(database) == 0
    assert adopted(database) == rows(1, 4)


def test_what_earlier_builds_noted_goes_on(database: Database) -> None:
    """Where the last row was noted by an MD5 and is still there, only what came after it is taken, and noted anew."""
    make_ancestor(database, 3)
    assert take(database) == 0
    old = "jsonb_build_object('witness', md5('row 3'), 'file', '1 2 ' || md5('3'))"
    execute(database, f"UPDATE dblog_settings SET value = value::jsonb || {old} WHERE name LIKE 'adopted %'")
    with database.connect() as connection:
        fill(connection, 4, 5)
    assert take(database) == take(database) == 0
    assert adopted(database) == rows(1, 5)
    execute(database, "UPDATE app_logs SET message = 'changed' WHERE id = 5")
    assert take(database) == 1


def test_a_table_that_is_emptied_meanwhile_stops_the_run(database: Database) -> None:
    """What is adopted stays as it was where the table begins anew between two batches."""
    make_ancestor(database, 6)
    with keeping(database.settings.database) as (connection, names):
        source = find_source(connection, names, "app_logs")
        bound = settled_bound(connection, source, wait=0, waiting=lambda: None)
        running = adopt(connection, names, source, zone=None, batch_rows=2, bound=bound)
        next(running)
        execute(database, "TRUNCATE app_logs RESTART IDENTITY")
        with database.connect() as other:
            fill(other, 11, 15)
        with pytest.raises(DblogError, match="emptied or made anew meanwhile"):
            next(running)
    assert adopted(database) == rows(1, 2)
    assert take(database, "--anew") == 0
    assert adopted(database) == rows(1, 2) + rows(11, 15)


def test_a_table_that_is_emptied_before_the_first_batch_stops_the_run(database: Database) -> None:
    """The number up to which no further row can come is that of the table as it was when the number was read."""
    make_ancestor(database, 3)
    row = b"INSERT INTO app_logs (level, logger_name, message) VALUES ('INFO', 'a', %s)"
    with keeping(database.settings.database) as (connection, names), database.connect() as late:
        source = find_source(connection, names, "app_logs")
        bound = settled_bound(connection, source, wait=0, waiting=lambda: None)
        execute(database, "TRUNCATE app_logs RESTART IDENTITY")
        with late.transaction():
            late.execute(row, ["row 1"])
            with database.connect() as other:
                other.execute(row, ["row 2"])
            with pytest.raises(DblogError, match="emptied or made anew meanwhile"):
                list(adopt(connection, names, source, zone=None, batch_rows=2, bound=bound))
    assert adopted(database) == []
    assert take(database) == 0
    assert adopted(database) == rows(1, 2)


def test_rows_that_share_a_number_stay_together(database: Database) -> None:
    """Numbers that are there twice, at the end of a batch and of the table, lose no row, whatever its time."""
    make_table(database, "timestamp timestamptz, level text, message text")
    execute(database, "ALTER TABLE app_logs DROP CONSTRAINT app_logs_pkey")
    execute(database, "CREATE INDEX ON app_logs (id)")
    ages = enumerate(((1, 10), (2, 20), (2, 300), (2, 700), (3, 40), (3, 41)), start=1)
    for number, (key, days) in ages:
        values = f"{key}, now() - interval '{days} days', 'INFO', 'row {number}'"
        execute(database, f"INSERT INTO app_logs VALUES ({values})")
    assert take(database) == take(database) == 0
    assert sorted(adopted(database)) == rows(1, 6)


@pytest.mark.parametrize("partitioned", [False, True])
def test_no_digest_is_asked_for_that_a_strict_server_refuses(database: Database, partitioned: bool) -> None:
    """Adopting, twice and from partitions, needs no MD5, which servers in FIPS mode do not compute."""
    execute(database, "ALTER FUNCTION pg_catalog.md5(text) RENAME TO md5_refused")
    if partitioned:
        columns = "id bigint PRIMARY KEY, timestamp timestamptz, level text, message text"
        execute(database, f"CREATE TABLE app_logs ({columns}) PARTITION BY RANGE (id)")
        execute(database, "CREATE TABLE app_logs_1 PARTITION OF app_logs FOR VALUES FROM (1) TO (100)")
    else:
        make_table(database, "timestamp timestamptz, level text, message text")
    for number in (1, 2):
        execute(database, f"INSERT INTO app_logs VALUES ({number}, now(), 'INFO', 'row {number}')")
        assert take(database) == take(database) == 0
    assert adopted(database) == rows(1, 2)
