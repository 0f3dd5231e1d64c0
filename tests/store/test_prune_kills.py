"""A run that is killed at any point: the next one brings about what an undisturbed run would have."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from programs import IMPORTABLE, TIMEOUT
from retained import detach, left, log, remember
from servers import Database, Databases

PROGRAM = Path(__file__).parent / "killed_prune.py"
KILLED, LIVES = 9, 0
STRIDE = 31
"""The ordinary test kills at one statement of so many, the long one at each."""


@pytest.fixture
def template(databases: Databases, migrated_template: str) -> Iterator[str]:
    """The name of a database in which there is something of everything to do."""
    with databases.new(migrated_template) as database:
        fill(database)
        yield database.name


def fill(database: Database) -> None:
    """What is due, what is due in part, what may go whole, what others have begun, and what is not ours."""
    with database.connect() as connection, database.connect() as reader:
        log(connection, 310, (20, "due"))
        log(connection, 10, (10, "goes"), (40, "stays"))
        log(connection, 12, (10, "goes"), (10, "goes"))
        for days, mark in ((311, ""), (312, ", to be archived")):
            comment = f"dblog partition of public.dblog_logs, expired{mark}"
            detach(connection, log(connection, days, (20, "x")), comment)
        detach(connection, log(connection, 313, (20, "mine")), "mine")
        begun = log(connection, 200, (40, "begun"))
        remember(connection, "hold dblog_logs_p20000101", "2000-01-08T00:00:00+00:00")
        with reader.transaction():
            reader.execute("SELECT count(*) FROM dblog_logs")
            connection.execute("SET lock_timeout = '20ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute(f"ALTER TABLE dblog_logs DETACH PARTITION {begun} CONCURRENTLY")


def state(database: Database) -> dict[str, object]:
    """All that a run leaves behind, but for times, and for what could not be frozen because of others."""
    with database.connect() as connection:
        return {
            "rows": left(connection),
            "ledger": connection.execute(
                "SELECT rows_stored, rows_removed FROM dblog_batches ORDER BY time_from"
            ).fetchall(),
            "tables": connection.execute(
                "SELECT c.relname, c.relispartition, replace(obj_description(c.oid), ', frozen', ''), "
                "i.inhdetachpending FROM pg_class c "
                "LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.relkind = 'r' AND c.relname LIKE 'dblog%' "
                "ORDER BY 1"
            ).fetchall(),
            "settings": connection.execute(
                "SELECT name, CASE WHEN name LIKE '%before' THEN value END FROM dblog_settings ORDER BY 1"
            ).fetchall(),
        }


class Runs:
    """The program that forks runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, database: Database, number: int) -> int:
        """Run until the statement of that number; returns how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([database.dsn, number]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def started() -> Iterator[Runs]:
    """The program, until its end."""
    with subprocess.Popen(
        [sys.executable, PROGRAM],
        env={**os.environ, "PYTHONPATH": IMPORTABLE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Runs(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(TIMEOUT)


def kill_at_each(databases: Databases, template: str, stride: int) -> int:
    """Kill a run at statement after statement, and look at what the next one leaves; returns how many there are."""
    with started() as runs:
        with databases.new(template) as database:
            assert runs.run(database, 0) == LIVES
            undisturbed = state(database)
            assert runs.run(database, 0) == LIVES
            assert state(database) == undisturbed
        number = 1
        while True:
            with databases.new(template) as database:
                ended = runs.run(database, number)
                if ended == LIVES:
                    break
                assert ended == KILLED
                assert runs.run(database, 0) == LIVES
                assert state(database) == undisturbed, f"killed before statement {number}"
            number += stride
    return number


def test_a_killed_run_is_made_good(databases: Databases, template: str) -> None:
    """Killed at one statement of many, and run again: the same tables, rows, ledger and settings."""
    assert kill_at_each(databases, template, STRIDE) > 2 * STRIDE


@pytest.mark.torture
def test_a_run_that_is_killed_at_any_statement_is_made_good(databases: Databases, template: str) -> None:
    """Killed at each of its statements, and run again: the same tables, rows, ledger and settings."""
    assert kill_at_each(databases, template, 1) > 40
