"""Applications of several databases share one spool directory while their databases come and go."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gates import Gate, gate_to
from numbered import Certain, Numbering, check_stored, numbering
from servers import Databases

from dblog.cli.main import run

OWNERS = (0, 1, 2, 2, 2)
"""The database of each application: two have one of their own, three share one."""
LINES = 50
"""What an application says in a round, at least."""


@pytest.fixture
def gates(databases: Databases, migrated_template: str) -> Iterator[list[Gate]]:
    """Three databases."""
    with ExitStack() as cleanup:
        made = [cleanup.enter_context(databases.new(migrated_template)) for _ in range(3)]
        yield [cleanup.enter_context(gate_to(database)) for database in made]


class Applications:
    """Five running applications; those that are killed are replaced.

    Args:
        running: Ends them.
        gates: Their databases.
        spool_dir: What they share.
    """

    def __init__(self, running: ExitStack, gates: list[Gate], spool_dir: Path) -> None:
        self._running = running
        self._gates = gates
        self._spool_dir = spool_dir
        self._started = 0
        self._certain: list[Certain] = [{} for _ in gates]
        self._living = [self._start(owner) for owner in range(len(OWNERS))]

    def replace(self, place: int) -> None:
        """Kill one and start its successor."""
        self._end(place)
        self._living[place] = self._start(place)

    def work(self) -> None:
        """Let all of them log for a while."""
        for program in self._living:
            program.await_more(LINES)

    def end(self) -> list[Certain]:
        """Kill all; returns what was certain, for each database."""
        for place in range(len(OWNERS)):
            self._end(place)
        return self._certain

    def _start(self, place: int) -> Numbering:
        self._started += 1
        dsn = self._gates[OWNERS[place]].dsn
        return self._running.enter_context(
            numbering(dsn, self._spool_dir, f"app{self._started}", threads=2, pause=0.001)
        )

    def _end(self, place: int) -> None:
        self._living[place].kill()
        self._certain[OWNERS[place]] |= self._living[place].certain()


@pytest.mark.parametrize(("rounds", "seed"), [(4, 1), pytest.param(100, 2, marks=pytest.mark.torture)])
def test_nobodys_records_get_into_the_wrong_database(gates: list[Gate], tmp_path: Path, rounds: int, seed: int) -> None:
    """Whoever adopts what killed applications leave delivers it to their own database alone, each record once."""
    chance = random.Random(seed)
    with ExitStack() as running:
        applications = Applications(running, gates, tmp_path / "spool")
        for _ in range(rounds):
            shut = [gate for gate in gates if chance.random() < 0.5]
            for gate in shut:
                gate.close()
            applications.work()
            applications.replace(chance.randrange(len(OWNERS)))
            for gate in shut:
                gate.open()
        certain = applications.end()
    for gate, expected in zip(gates, certain, strict=True):
        assert run(["replay", "--dsn", gate.dsn, "--spool-dir", str(tmp_path / "spool")]) == 0
        known, stored = check_stored(gate.database, expected)
        print(f"{rounds} rounds: {known} records were certain, {stored} are stored")
        assert run(["verify", "--dsn", gate.database.dsn]) == 0
    # A folder that was being made when its process died has a hidden name: nobody takes it for a writer's.
    assert [path for path in (tmp_path / "spool").iterdir() if not path.name.startswith(".")] == []
