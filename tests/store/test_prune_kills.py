"""A run that is killed at any point: the next one brings about what an undisturbed run would have."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path

import psycopg
import pytest
from programs import IMPORTABLE, TIMEOUT
from retained import detach, left, log, remember
from servers import Database, Databases

PROGRAM = Path(__file__).parent / "killed_prune.py"
KILLED, LIVES = 9, 0
STEPS = {
    "dblog_make_partition": 1,
    " FINALIZE": 1,
    'DROP TABLE "public"."dblog_logs': 1,
    'DROP TABLE "public"."dblog_batches': 1,
    "INSERT INTO public.dblog_settings": 1,
    "dblog_logs, expired": 1,
    'ALTER TABLE "public"."dblog_logs" DETACH': 3,  # the last: no later one hides that its horizon was not recorded
    'INSERT INTO "public"."dblog_logs"': 1,
    "WITH gone AS": 1,
    "DELETE FROM public.dblog_settings": 1,
    "VACUUM": 1,
    "dblog_logs, frozen'": 1,
}
"""What tells a statement of each kind that changes something, and which of them."""

Point = tuple[str, str, int]
"""Before or after, a part of the statement, and which of those with that part."""


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
        emptied = "dblog partition of public.dblog_logs, expired, but for what is kept longer"
        detach(connection, log(connection, 5, (40, "late")), emptied)
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

    def run(self, database: Database, point: Point | None) -> int:
        """Run until that statement, or to the end; returns how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([database.dsn, point]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def started() -> Iterator[Runs]:
    """The program, until its end."""
    with subprocess.Popen(
        [sys.executable, PROGRAM],
        env={**os.environ, "PYTHONPATH": f"{IMPORTABLE}{os.pathsep}{PROGRAM.parents[1]}"},
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


class Trial:
    """Databases in which runs are killed, and what an undisturbed run leaves."""

    def __init__(self, databases: Databases, template: str, runs: Runs) -> None:
        self._databases = databases
        self._template = template
        self._runs = runs
        with databases.new(template) as database:
            assert runs.run(database, None) == LIVES
            self._undisturbed = state(database)
            assert runs.run(database, None) == LIVES
            assert state(database) == self._undisturbed

    def kill(self, when: str, part: str, number: int) -> bool:
        """Kill a run there and look at what the next one leaves; False where it came to the end before."""
        with self._databases.new(self._template) as database:
            ended = self._runs.run(database, (when, part, number))
            if ended == LIVES:
                return False
            assert ended == KILLED
            assert self._runs.run(database, None) == LIVES
            assert state(database) == self._undisturbed, f"killed {when} {part!r}, {number}"
        return True


def test_a_killed_run_is_made_good(databases: Databases, template: str) -> None:
    """Killed just after a statement of each kind, and run again: the same tables, rows, ledger and settings."""
    with started() as runs:
        trial = Trial(databases, template, runs)
        for step, number in STEPS.items():
            assert trial.kill("after", step, number), step


@pytest.mark.torture
def test_a_run_that_is_killed_at_any_statement_is_made_good(databases: Databases, template: str) -> None:
    """Killed at each of its statements, and run again: the same tables, rows, ledger and settings."""
    with started() as runs:
        trial = Trial(databases, template, runs)
        killed = list(takewhile(lambda number: trial.kill("before", "", number), count(1)))
    assert len(killed) > 100
