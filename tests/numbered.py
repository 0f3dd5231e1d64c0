"""Programs that number their records, what they said was certain when they were killed, and what became of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numbering_app
from eventually import eventually
from programs import IMPORTABLE
from servers import Database

Certain = dict[tuple[str, int], int]
"""The last certain number of each program and thread."""

_LINE = len("0 1234\n")

_STORED = """
    SELECT split_part(message, ' ', 1), split_part(message, ' ', 2)::int,
           count(*), count(DISTINCT message), max(split_part(message, ' ', 3)::int)
    FROM dblog_logs WHERE logger_name <> 'dblog' GROUP BY 1, 2
"""


class Numbering:
    """A running program, and what it has said so far.

    Args:
        process: The program.
        name: Stands in front of its records.
        said: The file that takes its output: a pipe would be full at times, and the program idle.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", name: str, said: Path) -> None:
        self._process = process
        self._name = name
        self._said = said

    def await_more(self, count: int) -> None:
        """Wait until it has said so many lines from now on, or somewhat more."""
        goal = self._said.stat().st_size + count * _LINE

        def has_said_them() -> bool:
            assert self._process.poll() is None, self._said.with_suffix(".err").read_text()
            return self._said.stat().st_size >= goal

        eventually(has_said_them, f"{count} lines of {self._name}")

    def kill(self) -> None:
        """Kill it; it may take a moment to die."""
        self._process.kill()

    def certain(self) -> Certain:
        """What a killed program had said is certain."""
        self._process.wait()
        said = self._said.read_bytes()
        lines = (line.split() for line in said[: said.rfind(b"\n") + 1].splitlines())
        return {(self._name, int(thread)): int(number) for thread, number in lines}


@contextmanager
def numbering(
    dsn: str, spool_dir: Path, name: str, *, durability: str = "journal", threads: int = 1, pause: float = 0.0
) -> Iterator[Numbering]:
    """Run a program that numbers its records; it is killed at the end. Its output goes beside the spool directory."""
    arguments = dsn, spool_dir, durability, name, threads, pause
    environment = {**os.environ, "PYTHONPATH": IMPORTABLE}
    command = [sys.executable, numbering_app.__file__, *map(str, arguments)]
    said = spool_dir.with_name(f"{name}.said")
    with (
        said.open("wb") as out,
        said.with_suffix(".err").open("wb") as err,
        subprocess.Popen(command, env=environment, stdout=out, stderr=err) as process,
    ):
        try:
            yield Numbering(process, name, said)
        finally:
            process.kill()


def check_stored(database: Database, certain: Certain) -> tuple[int, int]:
    """What was certain is in the table, nothing is there twice, and what is lost was the last of its thread.

    Returns:
        Records that were certain, and records that are in the table.
    """
    with database.connect() as connection:
        rows = {(name, thread): counts for name, thread, *counts in connection.execute(_STORED)}
    for key, (found, different, last) in rows.items():
        assert found == different, f"{key}: {found - different} records are there twice"
        assert found == last + 1, f"{key}: {last + 1 - found} records are missing before the last"
    for key, number in certain.items():
        assert rows.get(key, (0,))[0] > number, f"{key}: {number} was certain, stored are {rows.get(key)}"
    assert {name for name, _ in rows} <= {name for name, _ in certain}, "records of strangers"
    return sum(certain.values()) + len(certain), sum(found for found, _, _ in rows.values())
