"""SIGKILL at any moment: what was logged is in the journal or stored, and nothing twice."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import journals
import pytest
from programs import IMPORTABLE

from dblog.sinks.recovery import recover
from dblog.writing.linequeue import utc_day

Run = Callable[..., "subprocess.CompletedProcess[str]"]

APPLICATION = Path(journals.__file__).with_name("journaling_app.py")

SIGNALS = """
import signal, sys, threading
from pathlib import Path
import journals

journal = journals.make_journal(Path(sys.argv[1]))
queue = journals.make_queue(journal, batch_size=100)
numbers = iter(range(10**6, 10**7))
interrupted, taken = [0], []

def on_alarm(*_):
    interrupted[0] += 1
    queue.append(journals.line(next(numbers)))
    if interrupted[0] % 7 == 0 and (batch := queue.take(1, 1)) is not None:
        taken.append(batch)

signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for number in range(50_000):
    queue.append(journals.line(number))
signal.setitimer(signal.ITIMER_REAL, 0)
taken += journals.take_all(queue)
taken.sort(key=lambda batch: batch.key.seq)  # a signal may come between taking and noting it
journal.close()
assert [batch for path in journals.files(Path(sys.argv[1])) for batch in journals.batches(path)] == taken
found = sorted(journals.number_of(row) for row in journals.rows(*taken))
assert found == [*range(50_000), *range(10**6, 10**6 + interrupted[0])], len(found)
assert interrupted[0] > 10
"""


def run_and_kill(folder: Path, threads: int, lines: int) -> list[int]:
    """Kill the application after it has acknowledged some lines; returns the numbers of all that it acknowledged."""
    with subprocess.Popen(
        [sys.executable, str(APPLICATION), str(folder), str(threads)],
        env={**os.environ, "PYTHONPATH": f"{IMPORTABLE}{os.pathsep}{APPLICATION.parent}"},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        numbers = [int(process.stdout.readline()) for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    return numbers + [int(number) for number in rest[: rest.rfind(b"\n") + 1].split()]


def check_nothing_lost(folder: Path, acknowledged: list[int]) -> None:
    """What is stored and what is in the journal, by the keys of batches, has every acknowledged line once."""
    found = {}
    for path in folder.glob("*.stored"):
        day, _, seq = path.stem.rpartition("-")
        found[day, int(seq)] = path.read_bytes()
    for path in journals.files(folder):
        if not recover(path, utc_day()):
            continue
        for batch in journals.batches(path):
            key = batch.key.birth_day, batch.key.seq
            assert found.setdefault(key, batch.payload) == batch.payload, f"two batches have the key {key}"
    numbers = [journals.number_of(row) for payload in found.values() for row in payload.splitlines()]
    assert len(numbers) == len(set(numbers)), "a line is there twice"
    assert set(acknowledged) <= set(numbers), "an acknowledged line is lost"


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("lines", [1, 500, 5000])
def test_a_kill_loses_nothing_that_was_logged(tmp_path: Path, threads: int, lines: int) -> None:
    """A process that is killed leaves every line whose call had returned, once."""
    check_nothing_lost(tmp_path, run_and_kill(tmp_path, threads, lines))


@pytest.mark.torture
def test_300_kills_lose_nothing() -> None:
    """The same at 300 random moments."""
    for _ in range(300):
        with TemporaryDirectory() as name:
            lines = int(10 ** random.uniform(0, 4.5))
            check_nothing_lost(Path(name), run_and_kill(Path(name), random.choice([1, 2, 4, 16]), lines))


def test_signal_handlers_may_log_and_take(
    tmp_path: Path, run: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Signals that interrupt `append` and log themselves tear no line, lose none and put none into another's frame."""
    done = run(SIGNALS, tmp_path, PYTHONPATH=f"{IMPORTABLE}{os.pathsep}{APPLICATION.parent}")
    assert (done.returncode, done.stderr) == (0, "")
