"""The spool between processes: the living hold what is theirs, the dead leave it to one of them."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from spools import MakeBatch, MakeSpool, drain, leave

import dblog
from dblog.sinks.adoption import Adopted
from dblog.sinks.segments import Figures, Trouble

Start = Callable[[str], "subprocess.Popen[str]"]

OPENING = """
import os, sys
from pathlib import Path
from dblog.batch import Batch, BatchKey
from dblog.sinks.spool import Spool

def batch(writer, seq):
    return Batch(BatchKey("2026-11-21", writer, seq), b"row\\n", {20: 1}, None, None, seq)

def spool(number):
    writer = f"{number:032x}"
    return writer, Spool(Path(sys.argv[1]), writer_id=writer, target="here", report=print)
"""

WRITER = """
writer, mine = spool(2)
for seq in range(1, 4):
    mine.append(batch(writer, seq))
print("ready", flush=True)
sys.stdin.readline()
"""

STEADY_WRITER = """
writer, mine = spool(2)
print("ready", flush=True)
seq = 0
while True:
    seq += 1
    mine.append(Batch(BatchKey("2026-11-21", writer, seq), b"row\\n" * 2000 * (seq % 7), {20: 1}, None, None, seq))
    print(seq, flush=True)
"""

ADOPTER = """
writer, mine = spool(os.getpid())
print("ready", flush=True)
sys.stdin.readline()
while mine.adopt().figures.bytes:
    while (waiting := mine.oldest()) is not None:
        print(waiting.key.writer_id, waiting.key.seq)
        mine.acknowledge(waiting)
mine.close()
"""

SEARCHER = """
import select
writer, mine = spool(os.getpid())
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    mine.adopt()
mine.close()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a Python process on the spool of this test and waits until it says that it is ready."""
    started: list[subprocess.Popen[str]] = []
    environment = os.environ | {"PYTHONPATH": str(Path(dblog.__file__).parents[1])}

    def run(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OPENING + code, str(tmp_path / "spool")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_the_living_are_left_alone_the_dead_adopted(make_spool: MakeSpool, start: Start, tmp_path: Path) -> None:
    """Nobody can adopt from a process that lives; once it was killed all it left is taken over, under its own keys."""
    writer = start(WRITER)
    spool = make_spool(1)
    assert spool.adopt() == Adopted()
    writer.kill()
    writer.wait()
    taken = spool.adopt().figures
    assert (taken.frames, taken.rows) == (3, 3)
    assert taken == spool.figures()
    assert [(batch.key.writer_id, batch.key.seq) for batch in drain(spool)] == [(f"{2:032x}", n) for n in (1, 2, 3)]
    spool.close()
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("returned", [1, 2, 3, 5, 8, 13, 21, 34, 55, 89])
def test_a_kill_costs_no_batch_that_was_taken(make_spool: MakeSpool, start: Start, returned: int) -> None:
    """Whenever a process is killed, every batch whose append had returned is adopted whole, and none out of order."""
    writer = start(STEADY_WRITER)
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(returned)]
    writer.kill()
    lines += writer.stdout.read().splitlines()
    last = max(int(line) for line in lines if line.strip())
    spool = make_spool(1)
    spool.adopt()
    adopted = list(drain(spool))
    assert [batch.key.seq for batch in adopted] == list(range(1, len(adopted) + 1))
    assert len(adopted) in (last, last + 1)


def test_two_adopters_share_without_doubles(
    make_spool: MakeSpool, make_batch: MakeBatch, start: Start, tmp_path: Path
) -> None:
    """When two processes adopt at the same time every batch comes to exactly one of them."""
    for writer in range(10, 40):
        leave(make_spool(writer), *(make_batch(seq, writer=writer) for seq in (1, 2)))
    adopters = [start(ADOPTER), start(ADOPTER)]
    for process in adopters:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    delivered = Counter(line for process in adopters for line in process.communicate()[0].splitlines())
    spool = make_spool(1)  # a directory may have been locked by the one while the other looked for its last
    while spool.adopt().figures.bytes:
        delivered.update(f"{batch.key.writer_id} {batch.key.seq}" for batch in drain(spool))
    spool.close()
    assert delivered == Counter(f"{writer:032x} {seq}" for writer in range(10, 40) for seq in (1, 2))
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_new_writer_is_not_disturbed_by_adopters(
    make_spool: MakeSpool, make_batch: MakeBatch, start: Start, troubles: list[Trouble]
) -> None:
    """A writer that opens its spool while others look for dead ones succeeds, and keeps what it stored."""
    searching = start(SEARCHER)
    for number in range(1000, 1400):
        spool = make_spool(number, fsync="never")
        spool.append(make_batch(1))
        assert list(drain(spool)) == [make_batch(1)]
        spool.close()
    assert searching.communicate("stop\n")[0] == ""
    assert troubles == []


def test_a_child_lets_go_without_unlocking(make_spool: MakeSpool, make_batch: MakeBatch, start: Start) -> None:
    """A forked child that abandons the spool and ends takes neither the lock nor a file from its parent."""
    spool = make_spool(1)
    for seq in (1, 2):
        spool.append(make_batch(seq))
    assert spool.oldest() == make_batch(1)
    child = os.fork()
    if child == 0:
        spool.abandon()
        spool.close()
        os._exit(0 if spool.figures() == Figures() else 1)
    assert os.waitpid(child, 0)[1] == 0
    adopter = start(ADOPTER)
    assert adopter.communicate("go\n")[0] == ""
    spool.append(make_batch(3))
    assert list(drain(spool)) == [make_batch(seq) for seq in (1, 2, 3)]


def test_closing_frees_the_lock_in_spite_of_children(
    make_spool: MakeSpool, make_batch: MakeBatch, start: Start, tmp_path: Path
) -> None:
    """What a closed spool left can be adopted even while a forked child lives that never let go of it."""
    spool = make_spool(1)
    spool.append(make_batch(1))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        spool.close()
        adopter = start(ADOPTER)
        assert adopter.communicate("go\n")[0] == f"{1:032x} 1\n"
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)
