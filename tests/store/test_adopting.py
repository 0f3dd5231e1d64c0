"""Adopting the rows of another logs table: each once, whatever happens meanwhile."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from ancestor import adopted, fill, make_ancestor, make_table
from audits import accounts
from servers import Database

from dblog.errors import DatabaseError, DblogError, Unreachable
from dblog.store.adopting.run import adopt, settled_bound
from dblog.store.adopting.source import find_source
from dblog.store.engine import clear_errors, keeping
from dblog.store.names import Names

APP = Path(__file__).parents[1] / "adopting_app.py"
OURS = """
SELECT timestamp, level, logger_name, process_id, thread_id, thread_name, hostname, message, exception, function_name,
       module, filename, lineno, pathname, extra_data, created_at
"""


def take_all(database: Database, *, batch_rows: int = 4) -> list[int]:
    """Adopt what there is; returns the rows of each batch."""
    with keeping(database.settings.database) as (connection, names):
        return take_with(connection, names, batch_rows=batch_rows)


def take_with(connection: sa.Connection, names: Names, *, batch_rows: int = 4) -> list[int]:
    """The same, on a connection."""
    source = find_source(connection, names, "app_logs")
    bound = settled_bound(connection, source, wait=0, waiting=lambda: None)
    batches = adopt(connection, names, source, zone="Europe/Berlin", batch_rows=batch_rows, bound=bound)
    return [batch.rows for batch in batches]


def test_every_column_keeps_its_value(database: Database) -> None:
    """A row of the ancestor's table is the same row afterwards, in each of its columns."""
    make_ancestor(database, 10)
    assert take_all(database) == [4, 4, 2]
    with database.connect() as connection:
        old = connection.execute(f"{OURS} FROM app_logs ORDER BY id".encode()).fetchall()
        assert connection.execute(f"{OURS} FROM dblog_logs ORDER BY id".encode()).fetchall() == old
        levels = connection.execute("SELECT level_no FROM dblog_logs ORDER BY id LIMIT 4").fetchall()
    assert [level for (level,) in levels] == [20, 30, 40, 10]
    assert len(old) == 10


def test_a_second_run_takes_what_came_later(database: Database) -> None:
    """The old application goes on writing; each run takes over only what is new, and the ledger proves all of it."""
    make_ancestor(database, 5)
    assert sum(take_all(database)) == 5
    assert take_all(database) == []
    with database.connect() as connection:
        fill(connection, 6, 8)
    assert take_all(database) == [3]
    assert adopted(database) == [f"row {number}" for number in range(1, 9)]
    (account,) = accounts(database)
    assert account.proven
    assert (account.table_rows, account.state, account.service) == (8, "closed", "adopt public.app_logs")


def test_killed_at_any_statement_each_row_is_there_once(database: Database) -> None:
    """A process that dies before any of its statements or commits leaves nothing twice, and nothing out."""
    make_ancestor(database, 3)
    command = [sys.executable, str(APP), database.dsn]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200)
    assert int(done.stdout) > 10
    assert adopted(database) == [f"row {number}" for number in range(1, 4)]
    assert [account.proven for account in accounts(database)] == [True]


def test_two_at_once_are_one(database: Database) -> None:
    """While one process adopts a table, another one says so and takes nothing."""
    make_ancestor(database, 5)
    with keeping(database.settings.database) as (connection, names):
        source = find_source(connection, names, "app_logs")
        running = adopt(connection, names, source, zone=None, batch_rows=2, bound=5)
        next(running)
        with pytest.raises(DblogError, match=r"another process is adopting public\.app_logs"):
            take_all(database)
        list(running)
    assert len(adopted(database)) == 5


def test_a_row_that_is_committed_late_is_not_left_out(database: Database) -> None:
    """A transaction that has an id and is not committed is waited for, and named where it takes too long."""
    make_ancestor(database, 1)
    with database.connect() as slow, database.connect() as quick:
        with slow.transaction():
            fill(slow, 2, 2)
            fill(quick, 3, 3)
            with pytest.raises(DatabaseError, match=f"process {slow.info.backend_pid} has written to public.app_logs"):
                take_all(database)
        assert take_all(database) == [3]
    assert adopted(database) == ["row 1", "row 2", "row 3"]


def test_readers_and_writers_are_in_nobodys_way(database: Database) -> None:
    """The old table is locked for nobody: it can even be written between two batches."""
    make_ancestor(database, 4)
    with keeping(database.settings.database) as (connection, names), database.connect() as other:
        source = find_source(connection, names, "app_logs")
        bound = settled_bound(connection, source, wait=0, waiting=lambda: None)
        running = adopt(connection, names, source, zone=None, batch_rows=2, bound=bound)
        next(running)
        other.execute("SET lock_timeout = '1ms'")
        other.execute("LOCK TABLE app_logs IN ACCESS EXCLUSIVE MODE; TRUNCATE app_logs")
        fill(other, 5, 6)
        assert list(running) == []


def test_old_rows_get_partitions(database: Database) -> None:
    """Rows from before the window of records have partitions by month, which join the others and are dblog's own."""
    make_table(
        database,
        "timestamp timestamptz, level text, message text",
        "'2019-02-28 23:59:59.999999Z', 'INFO', 'one'",
        "'2019-03-01 00:00Z', 'INFO', 'two'",
        "now() - interval '401 days', 'INFO', 'three'",
        "now() - interval '399 days', 'INFO', 'four'",
    )
    assert take_all(database) == [4]
    with database.connect() as connection:
        found = connection.execute(
            "SELECT tableoid::regclass::text FROM dblog_logs WHERE timestamp < '2020-01-01' ORDER BY id"
        ).fetchall()
        marks = connection.execute(
            "SELECT DISTINCT obj_description(inhrelid, 'pg_class') FROM pg_inherits "
            "WHERE inhparent = 'dblog_logs'::regclass"
        ).fetchall()
    assert found == [("dblog_logs_p201902",), ("dblog_logs_p201903",)]
    assert marks == [("dblog partition of public.dblog_logs",)]
    assert len(adopted(database)) == 4


def test_a_row_that_the_table_refuses_stops_it(database: Database) -> None:
    """What PostgreSQL refuses is an error; the batches before it are kept, and a later run goes on after them."""
    make_ancestor(database, 6)
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs ADD CONSTRAINT no_five CHECK (lineno <> 5)")
        with pytest.raises(DatabaseError, match="a constraint refused a row"):
            take_all(database, batch_rows=2)
        connection.execute("ALTER TABLE dblog_logs DROP CONSTRAINT no_five")
    assert take_all(database, batch_rows=2) == [2]
    assert len(adopted(database)) == 6


def test_a_member_of_the_owner_is_enough(database: Database) -> None:
    """Who may read the old table and is a member of the owner of the new ones can adopt; others are told what lacks."""
    make_ancestor(database, 2)
    role = f"{database.name}_other"
    with database.connect() as connection:
        connection.execute(f"CREATE ROLE {role}".encode())
        try:
            with keeping(database.settings.database) as (wrapped, names):
                wrapped.execute(sa.text(f"SET ROLE {role}"))
                wrapped.commit()
                with pytest.raises(DatabaseError, match=f'GRANT SELECT ON "public"."app_logs" TO {role}'):
                    find_source(wrapped, names, "app_logs")
                connection.execute(f"GRANT SELECT ON app_logs TO {role}".encode())
                with pytest.raises(DatabaseError, match="does not own"):
                    find_source(wrapped, names, "app_logs")
        finally:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_a_broken_connection_is_one_line(database: Database) -> None:
    """A server that goes away in the middle is said without the driver's words."""
    make_ancestor(database, 4)
    with keeping(database.settings.database) as (connection, names), database.connect() as other:
        source = find_source(connection, names, "app_logs")
        running = adopt(connection, names, source, zone=None, batch_rows=2, bound=4)
        next(running)
        other.execute("SELECT pg_terminate_backend(%s)", [pid_of(connection)])
        with pytest.raises(Unreachable), clear_errors(database.settings.database):
            next(running)
    assert len(adopted(database)) == 2


def pid_of(connection: sa.Connection) -> object:
    """The process of the server that serves a connection."""
    pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    connection.commit()
    return pid
