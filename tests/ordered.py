"""A program that logs and suffers by order, and the proof that its figures are true."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ordered_app
from eventually import eventually
from gates import Gate
from programs import IMPORTABLE
from servers import Database

from dblog.sinks import inspection, survey

PLACES = ("stored", "spooled", "rejected", "printed", "dropped", "waiting")
_NUMBER = re.compile(rb"%s(\d+) " % ordered_app.MARK.encode())
_PRINTED = re.compile(rb"^dblog: not stored: .*$", re.MULTILINE)

Levels = Counter[int]


class Ordered:
    """A running program.

    Args:
        process: The program.
        database: Where its records belong.
        spool_dir: Where they wait.
        stderr: What it says.
    """

    def __init__(self, process: "subprocess.Popen[str]", database: Database, spool_dir: Path, stderr: Path) -> None:
        self._process = process
        self._database = database
        self._spool_dir = spool_dir
        self._stderr = stderr
        self.logged = 0

    def order(self, *words: object) -> Any:
        """Give an order and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the program has ended: {self.said()[-2000:].decode()}"
        return json.loads(answer)

    def log(self, count: int) -> None:
        """Have it log so many records."""
        self.order("log", count)
        self.logged += count

    def figures(self) -> dict[str, Levels]:
        """What became of its records, by level."""
        stats = self.order("stats")
        return {name: levels_of(stats[name]) for name in ("emitted", *PLACES)}

    def total(self, place: str) -> int:
        """The records in one place."""
        return self.figures()[place].total()

    def said(self) -> bytes:
        """All that it has written to stderr."""
        return self._stderr.read_bytes()

    def await_records(self, place: str, more_than: int = 0) -> None:
        """Wait until there are records in a place, or more than so many."""
        eventually(lambda: self.total(place) > more_than, f"records {place}")

    def await_delivery(self) -> None:
        """Wait until nothing waits, neither in memory nor in the spool."""
        eventually(lambda: not self.total("waiting") + self.total("spooled"), "the delivery", 60)

    def check(self) -> dict[str, int]:
        """Wait for a quiet moment, in which the figures are those of the table, of the spool and of stderr.

        Each record is in one of these places at most; those that are in none are dropped, or wait in memory.

        Returns:
            The records in each place.
        """
        eventually(self._is_true, f"the truth of {self.figures()}")
        totals = {place: self.total(place) for place in PLACES}
        numbers = self._numbers()
        assert all(count == 1 for count in numbers.values()), "a record is in two places, or twice in one"
        missing = self.logged - len(numbers)
        notes = self.total("emitted") - self.logged  # of dblog itself, which may be lost like all others
        assert -notes <= missing - totals["dropped"] <= totals["waiting"], f"missing are {missing}: {totals}"
        return totals

    def _is_true(self) -> bool:
        told = self.figures()
        found = {"stored": self._stored(), "spooled": self._spooled(), "printed": self._printed()}
        conserved = told["emitted"] == sum((told[place] for place in PLACES), Counter())
        return conserved and all(told[place] == levels for place, levels in found.items())

    def _stored(self) -> Levels:
        query = "SELECT level_no, count(*) FROM dblog_logs GROUP BY level_no"
        with self._database.connect() as owner:
            return Counter(dict(owner.execute(query).fetchall()))

    def _spooled(self) -> Levels:
        files = [file for writer in survey.writers(self._spool_dir) for file in writer.files if file.kind == "segment"]
        return sum((Counter(inspection.examine(file).levels) for file in files), Counter())

    def _printed(self) -> Levels:
        found = Levels()
        for line in _PRINTED.findall(self.said()):
            number = _NUMBER.search(line)
            found[ordered_app.LEVELS[int(number[1]) % len(ordered_app.LEVELS)] if number else 30] += 1
        return found

    def _numbers(self) -> Counter[int]:
        found = Counter(map(int, _NUMBER.findall(self.said())))
        for path in self._spool_dir.glob("*/*.seg"):
            found.update(map(int, _NUMBER.findall(path.read_bytes())))
        query = "SELECT message FROM dblog_logs WHERE logger_name = 'ordered'"
        with self._database.connect() as owner:
            found.update(int(number) for (row,) in owner.execute(query) for number in _NUMBER.findall(row.encode()))
        return found


def levels_of(counts: dict[str, int]) -> Levels:
    """Counts by level, as JSON has them."""
    return Counter({int(level): count for level, count in counts.items()})


@contextmanager
def ordered(
    gate: Gate, spool_dir: Path, stderr: Path, *, user: int | None = None, **arguments: Any
) -> Iterator[Ordered]:
    """Run the program with small batches; it is killed at the end."""
    chosen = {
        "dsn": gate.dsn,
        "spool_dir": str(spool_dir),
        "batch_size": 100,
        "flush_interval": 0.02,
        "queue_max_bytes": 512 * 1024,
        **arguments,
    }
    command = [sys.executable, ordered_app.__file__, json.dumps(chosen), *([] if user is None else [str(user)])]
    with (
        stderr.open("wb") as err,
        subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": IMPORTABLE},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        ) as process,
    ):
        try:
            yield Ordered(process, gate.database, spool_dir, stderr)
        finally:
            process.kill()
