"""Processes that are killed by SIGKILL while they log: what was certain is in the table, and nothing twice."""

import json
import logging
import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from numbered import Certain, check_stored, numbering
from servers import Database

from dblog import DatabaseLogHandler
from dblog.cli.main import run

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]

AT_ONCE = 4
"""Programs that share the spool directory."""


@pytest.fixture
def succeed(database: Database, make_handler: MakeHandler, attach: Attach, tmp_path: Path) -> Callable[[], None]:
    """A function that has another handler deliver what the dead have left."""

    def make_and_wait() -> None:
        successor = make_handler(database.dsn, spool_dir=tmp_path / "spool", flush_interval=0.01)
        attach(successor, name="dblog").info("successor")
        eventually(lambda: len(list((tmp_path / "spool").iterdir())) == 1, "the successor to be alone")
        eventually(lambda: not successor.stats().waiting and not spooled(tmp_path / "spool"), "the replay")
        successor.close()

    return make_and_wait


def spooled(directory: Path) -> list[Path]:
    """The segments in a spool directory."""
    return [*directory.glob("*/*.seg"), *directory.glob("*/*.journal")]


def kill_some(database: Database, directory: Path, first: int, durability: str, moments: random.Random) -> Certain:
    """Run programs at once and kill them when each has said a random number of lines; returns what was certain."""
    certain: Certain = {}
    names = [f"app{number}" for number in range(first, first + AT_ONCE)]
    with ExitStack() as running:
        programs = [
            running.enter_context(
                numbering(database.dsn, directory, name, durability=durability, threads=moments.choice([1, 2, 8]))
            )
            for name in names
        ]
        for program in programs:
            program.await_more(int(10 ** moments.uniform(0, 4 if durability == "journal" else 2)))
        for program in programs:
            program.kill()
        for program in programs:
            certain |= program.certain()
    return certain


def replay(database: Database, directory: Path) -> None:
    """Have the command deliver what the dead have left."""
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(directory)]) == 0


def writers_of(database: Database, certain: Certain) -> set[str]:
    """The UUIDs of the programs."""
    names = list({name for name, _ in certain})
    query = "SELECT DISTINCT writer_id FROM dblog_logs WHERE logger_name = ANY(%s)"
    with database.connect() as connection:
        return {str(row[0]) for row in connection.execute(query, [names])}


@pytest.mark.parametrize(
    ("durability", "kills", "seed"),
    [
        ("journal", 8, 1),
        ("memory", 4, 2),
        pytest.param("journal", 300, 3, marks=pytest.mark.torture),
        pytest.param("memory", 52, 4, marks=pytest.mark.torture),
    ],
)
def test_killed_at_random_moments(
    database: Database,
    succeed: Callable[[], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    durability: str,
    kills: int,
    seed: int,
) -> None:
    """With a journal each record whose call had returned is in the table once; in memory each one that was flushed.

    Whether another handler delivers what was left or `dblog replay` does, `dblog verify` finds nothing missing and
    nothing doubled, and knows of each program that it ended uncleanly.
    """
    moments = random.Random(seed)
    certain: Certain = {}
    for first in range(0, kills, AT_ONCE):
        certain |= kill_some(database, tmp_path / "spool", first, durability, moments)
        if first % (2 * AT_ONCE):
            succeed()
        else:
            replay(database, tmp_path / "spool")
    known, stored = check_stored(database, certain)
    capsys.readouterr()
    code = run(["verify", "--dsn", database.dsn, "-o", "json"])
    audit: dict[str, Any] = json.loads(capsys.readouterr().out)
    print(f"{durability}: {kills} kills, {known} records were certain, {stored} are stored")
    assert (code, audit["proven"]) == (0, True)
    writers = {writer["writer_id"]: writer for writer in audit["writers"]}
    killed = [writers[writer_id] for writer_id in writers_of(database, certain)]
    assert len(killed) == kills
    assert {writer["state"] for writer in killed} == {"ended uncleanly"}
    assert {writer["unclean_end"]["journaled"] for writer in killed} == {durability == "journal"}
    assert list((tmp_path / "spool").iterdir()) == []
