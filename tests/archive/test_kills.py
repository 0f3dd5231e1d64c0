"""Runs that are killed, at any step, and runs at the same time: the end is the same."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from archived import archive_at, bring_back, drop, fill, partition_of, table_of
from programs import IMPORTABLE, TIMEOUT
from servers import Database

from dblog.archive import archiver
from dblog.archive.catalog import Archive
from dblog.archive.restoring import restore
from dblog.store.engine import keeping
from dblog.store.names import Names

Kept = tuple[sa.Connection, Names]

APP = Path(__file__).parent.parent / "archiving_app.py"
KILLED = 9


def runs_to_its_end(database: Database, folder: Path, step: int, what: str) -> bool:
    """Whether the program came to its end before it was to die at a step."""
    done = subprocess.run(
        [sys.executable, APP, database.dsn, folder, "jsonl", str(step), what],
        env={**os.environ, "PYTHONPATH": IMPORTABLE},
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode in (0, KILLED)
    return done.returncode == 0


def assert_whole(archive: Archive, rows: int) -> None:
    """The archive has each row once, and no file that does not count."""
    files = archive.files()
    assert sum(file.manifest.rows for file in files) == rows
    found = [path for path in Path(archive.store.location).glob("*/date=*/*") if path.is_file()]
    assert len(found) == 2 * len(files)


def kill_and_go_on(database: Database, kept: Kept, folder: Path, steps: list[int]) -> int:
    """Archive and restore, killed at these steps as far as there are so many; returns how often it was killed."""
    with database.connect() as connection:
        fill(connection, 20)
        fill(connection, 20, microseconds=1)
    partition, before = partition_of(database, 20), table_of(database)
    killed = 0
    for step in steps:
        target = folder / str(step)
        if runs_to_its_end(database, target, step, partition):
            break
        killed += 1
        assert len(archive_at(target).files()) <= 1
        archiver(str(target), kept[1], "jsonl")(kept[0], partition)
        assert_whole(archive_at(target), len(before))
    archive = archive_at(folder / str(steps[0]))
    for step in steps:
        with database.connect() as connection:
            connection.execute("TRUNCATE dblog_logs")
        if runs_to_its_end(database, folder / str(steps[0]), step, "restore"):
            break
        killed += 1
        assert table_of(database) in ([], before)
        bring_back(kept, archive)
        assert table_of(database) == before
    return killed


def test_a_killed_run_is_simply_begun_again(database: Database, kept: Kept, tmp_path: Path) -> None:
    """Whatever a run was doing when it was killed, the next one leads to what an undisturbed one leads to."""
    assert kill_and_go_on(database, kept, tmp_path, [6, 11, 13]) == 6


@pytest.mark.torture
def test_every_step_may_be_the_last(database: Database, kept: Kept, tmp_path: Path) -> None:
    """The same at each statement, commit, file, rename and fsync."""
    assert kill_and_go_on(database, kept, tmp_path, list(range(1, 200))) > 25


def test_two_at_once_write_and_restore_once(database: Database, tmp_path: Path) -> None:
    """Two processes that archive the same partition, then two that restore it, do what one would do."""
    with database.connect() as connection:
        fill(connection, 20)
    partition, before = partition_of(database, 20), table_of(database)

    def archive() -> None:
        with keeping(database.settings.database) as (connection, names):
            archiver(str(tmp_path), names, "jsonl")(connection, partition)

    def bring_it_back() -> None:
        found = archive_at(tmp_path)
        with keeping(database.settings.database) as (connection, names):
            came.extend(done.restored for done in restore(connection, names, found, found.files(), keep_days=7))

    came: list[int] = []
    at_once(archive)
    assert_whole(archive_at(tmp_path), len(before))
    drop(database, partition)
    at_once(bring_it_back)
    assert (table_of(database), sum(came)) == (before, len(before))


def at_once(work: Callable[[], None]) -> None:
    """Do something in two threads."""
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
