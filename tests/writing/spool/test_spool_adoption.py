"""What dead writers left: taken over by the living, once, and only by those who write to the same place."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dblog
from dblog.batch import Batch
from dblog.sinks import frames
from dblog.sinks.backlog import Trouble
from dblog.sinks.segments import Figures
from dblog.sinks.spool import Spool

MakeBatch = Callable[..., Batch]
MakeSpool = Callable[..., Spool]
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
while mine.adopt().bytes:
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


@pytest.fixture
def closed_home() -> Iterator[Path]:
    """A writer's directory that this process cannot enter; root gives up its rights until the end of the test."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        home = Path(place) / f"{2:032x}"
        home.mkdir(mode=0)
        if before == 0:
            os.seteuid(65534)
        yield home
        os.seteuid(before)


def drain(spool: Spool) -> Iterator[Batch]:
    """Take everything that waits."""
    while (batch := spool.oldest()) is not None:
        yield batch
        spool.acknowledge(batch)


def leave(spool: Spool, *batches: Batch) -> None:
    """Append batches and close, as a writer does that could not deliver them."""
    for batch in batches:
        spool.append(batch)
    spool.close()


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_the_living_are_left_alone_the_dead_adopted(make_spool: MakeSpool, start: Start, tmp_path: Path) -> None:
    """Nobody can adopt from a process that lives; once it was killed all it left is taken over, under its own keys."""
    writer = start(WRITER)
    spool = make_spool(1)
    assert spool.adopt() == Figures()
    writer.kill()
    writer.wait()
    taken = spool.adopt()
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
    lines += writer.communicate()[0].splitlines()
    last = max(int(line) for line in lines if line.strip())
    spool = make_spool(1)
    spool.adopt()
    adopted = list(drain(spool))
    assert [batch.key.seq for batch in adopted] == list(range(1, len(adopted) + 1))
    assert len(adopted) in (last, last + 1)


def test_adopted_batches_follow_those_that_wait(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """Each call takes over one dead writer, behind what waits already and before what arrives later."""
    old = {writer: [make_batch(seq, writer=writer) for seq in (1, 2)] for writer in (2, 3)}
    for writer, batches in old.items():
        leave(make_spool(writer, segment_bytes=1), *batches)
    spool = make_spool(1)
    spool.append(make_batch(1))
    assert spool.adopt().frames == 2
    spool.append(make_batch(2))
    assert spool.adopt().frames == 2
    assert spool.adopt() == Figures()
    assert list(drain(spool)) == [make_batch(1), *old[2], make_batch(2), *old[3]]


def test_another_target_is_left_alone(make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path) -> None:
    """What was written for another database, schema or prefix is not touched in any way."""
    leave(make_spool(2, target="elsewhere"), make_batch(1, writer=2))
    before = contents(tmp_path)
    spool = make_spool(1)
    assert spool.adopt() == Figures()
    spool.close()
    assert contents(tmp_path) == before


def test_other_columns_are_left_alone(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, header: bytes
) -> None:
    """A segment whose rows have other columns is not touched, even if nothing else about it differs."""
    home = tmp_path / "spool" / f"{2:032x}"
    home.mkdir(parents=True)
    old = frames.make_header("here", ["writer_id", "message"])
    (home / "00000001.seg").write_bytes(old + frames.encode(make_batch(1, writer=2), old))
    assert make_spool(1).adopt() == Figures()
    assert (home / "00000001.seg").exists()
    (home / "00000002.seg").write_bytes(header + frames.encode(make_batch(2, writer=2), header))
    assert make_spool(1).adopt().frames == 1
    assert [path.name for path in sorted(home.glob("*.seg"))] == ["00000001.seg"]


def test_a_damaged_header_costs_no_batch(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """A segment whose header is damaged is known by its frames: those for this target are adopted, others are not."""
    for writer, target in ((2, "here"), (3, "elsewhere")):
        leave(make_spool(writer, target=target), make_batch(1, writer=writer))
        path = tmp_path / "spool" / f"{writer:032x}" / "00000001.seg"
        path.write_bytes(path.read_bytes().replace(b'"target":"', b'"target":"?', 1))
    spool = make_spool(1)
    assert spool.adopt().frames == 1
    assert list(drain(spool)) == [make_batch(1, writer=2)]
    assert spool.adopt() == Figures()
    assert len(troubles) == 1


@pytest.mark.parametrize("cut", [1, 40, 10_000], ids=lambda cut: f"{cut} bytes short")
def test_a_torn_end_is_set_aside(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble], cut: int
) -> None:
    """A segment that ends in the middle of a frame, of the first one or of the header gives all that is whole."""
    written = [make_batch(1, writer=2), make_batch(2, writer=2, width=4000)]
    leave(make_spool(2), *written)
    path = tmp_path / "spool" / f"{2:032x}" / "00000001.seg"
    torn = path.read_bytes()[:-cut]
    path.write_bytes(torn)
    spool = make_spool(1)
    assert spool.adopt().bytes == len(torn)
    delivered = list(drain(spool))
    assert delivered == written[: len(delivered)]
    pieces = list((tmp_path / "spool" / f"{1:032x}" / "damaged").iterdir())
    assert [torn.endswith(piece.read_bytes()) for piece in pieces] == [True]
    assert len(troubles) == 1
    assert not path.parent.exists()


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
    while spool.adopt().bytes:
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
        spool = make_spool(number, fsync=False)
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


def test_strangers_in_the_directory_are_left_alone(make_spool: MakeSpool, tmp_path: Path) -> None:
    """Directories and files that are no writer's are neither locked nor changed."""
    spool_dir = tmp_path / "spool"
    (spool_dir / "lost+found").mkdir(parents=True)
    (spool_dir / "README").write_text("hello")
    (spool_dir / f"{5:032x}").write_text("a file with a writer's name")
    (spool_dir / f"{6:032x}").mkdir()
    (spool_dir / f"{6:032x}" / "00000001.seg").write_bytes(b"not a segment")
    before = contents(spool_dir)
    spool = make_spool(1)
    assert spool.adopt() == Figures()
    spool.close()
    after = contents(spool_dir)
    assert {name: data for name, data in after.items() if not name.endswith("lock")} == before
    assert list((spool_dir / "lost+found").iterdir()) == []


def test_other_users_are_left_alone(
    make_spool: MakeSpool, make_batch: MakeBatch, closed_home: Path, troubles: list[Trouble]
) -> None:
    """The directory of another user is passed over without a word, and those of one's own are adopted."""
    leave(make_spool(3, directory=closed_home.parent), make_batch(1, writer=3))
    spool = make_spool(1, directory=closed_home.parent)
    assert spool.adopt().frames == 1
    assert list(drain(spool)) == [make_batch(1, writer=3)]
    spool.close()
    assert list(closed_home.parent.iterdir()) == [closed_home]
    assert troubles == []


def test_without_a_place_of_its_own_nothing_is_adopted(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """A writer that cannot make its own directory leaves all where it is, and says why."""
    leave(make_spool(2), make_batch(1, writer=2))
    (tmp_path / "spool" / f"{1:032x}").write_text("in the way")
    before = contents(tmp_path)
    assert make_spool(1).adopt() == Figures()
    assert [trouble.reason for trouble in troubles] == ["could not be adopted: Not a directory"]
    assert contents(tmp_path) == before


def test_a_segment_that_cannot_be_read_does_not_hide_the_next(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """Where one of a dead writer's segments is unreadable, it is reported and the others are adopted."""
    leave(make_spool(2, segment_bytes=1), make_batch(1, writer=2), make_batch(2, writer=2))
    path = tmp_path / "spool" / f"{2:032x}" / "00000001.seg"
    path.unlink()
    path.mkdir()
    spool = make_spool(1)
    assert spool.adopt().frames == 1
    assert list(drain(spool)) == [make_batch(2, writer=2)]
    assert [trouble.path for trouble in troubles] == [path]
