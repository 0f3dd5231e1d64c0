"""Processes that are killed in the middle of a rotation: what a call has written stays, and the next one tidies up."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from disks import mount_point
from programs import IMPORTABLE
from storms import Line, lines_in, of

from dblog import ResilientRotatingFileHandler

APPLICATION = Path(__file__).with_name("killed_app.py")
KILLS = pytest.mark.parametrize("kills", [5, pytest.param(200, marks=pytest.mark.torture)])
ROTATED: dict[str, Any] = {"maxBytes": 300, "backupCount": 100_000, "retry_base_delay": 0.001}


class Victim:
    """A process that logs, is killed and comes back, and the numbers of its lines.

    Args:
        number: Its own, which stands in front of its lines.
    """

    def __init__(self, number: int, live: Path, options: dict[str, Any]) -> None:
        self.told: set[Line] = set()
        """Lines whose calls have returned."""
        self.unsure: set[Line] = set()
        """Lines that were in the making at a kill."""
        self._number = number
        self._command = [sys.executable, str(APPLICATION), str(live), json.dumps(options), str(number)]
        self._first = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and kill it in the end when it has logged for a while."""
        command = [*self._command, str(self._first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": IMPORTABLE}) as process:
            assert process.stdout
            yield
            told = [process.stdout.readline() for _ in range(random.randint(20, 200))]
            process.kill()
            told += process.stdout.readlines()
        returned = {int(line) for line in told if line.endswith(b"\n")}
        assert returned, "the process ended by itself"
        self.told.update((self._number, number) for number in returned)
        self.unsure.add((self._number, max(returned) + 1))
        self._first = max(returned) + 2


@contextmanager
def perhaps_mounted(live: Path, mounted: bool) -> Iterator[None]:
    """Make the live file one that cannot be renamed, or leave it as it is."""
    if not mounted:
        yield
        return
    live.touch()
    with mount_point(live):
        yield


@KILLS
@pytest.mark.parametrize("mounted", [False, True], ids=["renamed", "copied"])
@pytest.mark.parametrize(
    "options",
    [{"naming": "index"}, {"naming": "timestamp"}, {"naming": "index", "compression": "gzip"}],
    ids=["index", "timestamp", "compressed"],
)
def test_a_killed_process_loses_nothing(tmp_path: Path, options: dict[str, Any], mounted: bool, kills: int) -> None:
    """Every line whose call has returned is in the files, whole and once, however often the process is killed."""
    live = tmp_path / "logs" / "app.log"
    live.parent.mkdir()
    victim = Victim(0, live, {**ROTATED, **options})
    with perhaps_mounted(live, mounted):
        for _ in range(kills):
            with victim.running():
                pass
        with closing(ResilientRotatingFileHandler(live, **ROTATED, **options)) as handler:
            handler.clean()
    check(live, [victim])


@KILLS
def test_killed_processes_that_share_a_file(tmp_path: Path, kills: int) -> None:
    """Of processes that write and rotate one file, those that are killed take nothing of the others with them."""
    live = tmp_path / "app.log"
    victims = [Victim(number, live, {**ROTATED, "multi_process": True}) for number in range(4)]
    for _ in range(kills):
        with ExitStack() as running:
            for victim in victims:
                running.enter_context(victim.running())
    check(live, victims)


def check(live: Path, victims: Iterable[Victim]) -> None:
    """See that the files have each line that is known to be written, and none twice."""
    found = lines_in(of(live))
    told = set[Line]().union(*(victim.told for victim in victims))
    assert told <= found
    assert found - told <= set[Line]().union(*(victim.unsure for victim in victims))
