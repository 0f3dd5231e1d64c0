"""The spool on a disk that fails: whole or not at all, and fit again as soon as the disk is."""

import errno
import os
import shutil
import subprocess
import sys
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

SHORT_WRITE = """
import resource, signal, sys
from pathlib import Path
from dblog.batch import Batch, BatchKey
from dblog.sinks.spool import Spool

def batch(seq):
    return Batch(BatchKey("2026-11-21", "1" * 32, seq), b"x" * 20_000 + b"\\n", {20: 1}, None, None, seq)

spool = Spool(Path(sys.argv[1]), writer_id="1" * 32, target="here", report=print)
spool.append(batch(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (32_768, resource.RLIM_INFINITY))
try:
    spool.append(batch(2))
except OSError as error:
    print(error.strerror, [path.stat().st_size for path in sorted(Path(sys.argv[1]).glob("*/*.seg"))])
spool.append(batch(3))
while (waiting := spool.oldest()) is not None:
    print(waiting.key.seq, len(waiting.payload))
    spool.acknowledge(waiting)
spool.close()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("a full disk is NOT tested: mounting a tmpfs takes Linux and root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a full disk is NOT tested: mounting a tmpfs failed: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def drain(spool: Spool) -> Iterator[Batch]:
    """Take everything that waits."""
    while (batch := spool.oldest()) is not None:
        yield batch
        spool.acknowledge(batch)


def fill(spool: Spool, make_batch: MakeBatch, first: int) -> list[Batch]:
    """Append until the disk is full; returns what was taken."""
    taken: list[Batch] = []

    def append_on() -> None:
        for seq in range(first, first + 1000):
            spool.append(make_batch(seq, width=2000))
            taken.append(make_batch(seq, width=2000))

    with pytest.raises(OSError, match="No space left"):
        append_on()
    return taken


def read_segments(spool_dir: Path, header: bytes) -> list[object]:
    """What another process would find in the segments."""
    found: list[object] = []
    for path in sorted(spool_dir.glob("*/*.seg")):
        with path.open("rb", buffering=0) as file:
            found.extend(frames.read(file.fileno(), header, path.stat().st_size))
    return found


def test_a_full_disk_takes_whole_batches_only(
    small_disk: Path, make_spool: MakeSpool, make_batch: MakeBatch, header: bytes, troubles: list[Trouble]
) -> None:
    """On a full disk append raises and leaves no torn frame; with room again it works, and all that was taken comes."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 300_000)
    spool = make_spool(directory=small_disk / "spool", segment_bytes=100_000)
    taken = fill(spool, make_batch, 1)
    assert read_segments(small_disk / "spool", header) == taken
    assert fill(spool, make_batch, 1000) == []
    sizes = [path.stat().st_size for path in (small_disk / "spool").glob("*/*.seg")]
    assert all(sizes)
    assert sum(sizes) == spool.figures().bytes
    ballast.unlink()
    taken += fill(spool, make_batch, 2000)
    assert spool.figures().frames == len(taken) > 100
    assert list(drain(spool)) == taken
    assert troubles == []


def test_a_full_disk_does_not_stop_replay(
    small_disk: Path, make_spool: MakeSpool, make_batch: MakeBatch, troubles: list[Trouble]
) -> None:
    """Where there is no room to copy damaged bytes out, the whole file is kept instead, and its other batches come."""
    spool = make_spool(directory=small_disk / "spool", segment_bytes=100_000)
    taken = fill(spool, make_batch, 1)
    path = next((small_disk / "spool").glob("*/00000001.seg"))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(3000)
        file.write(b"?")
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "rest").write_bytes(b"\0" * 2**20)
    assert list(drain(spool)) == taken[1:]
    assert (path.parent / "damaged" / path.name).stat().st_size == size
    assert [trouble.levels for trouble in troubles] == [taken[0].levels]


def test_a_read_only_disk_is_waited_out(small_disk: Path, make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """While the file system is read-only append raises; when it is writable again the same spool goes on."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    spool = make_spool(directory=small_disk / "spool")
    with pytest.raises(OSError, match="Read-only file system"):
        spool.append(make_batch(1))
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    spool.append(make_batch(2))
    assert list(drain(spool)) == [make_batch(2)]


def test_a_short_write_is_taken_back(tmp_path: Path) -> None:
    """A write that ends in the middle of a frame is cut off again, and the next batch finds its place."""
    root = Path(dblog.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SHORT_WRITE, str(tmp_path / "spool")],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    failure, *delivered = done.stdout.splitlines()
    message, _, sizes = failure.partition(" [")
    assert message == "File too large"
    assert 20_001 < int(sizes.rstrip("]")) < 22_000
    assert delivered == ["1 20001", "3 20001"]
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("truncatable", [True, False], ids=["cut back", "not even that"])
def test_a_failed_fsync_takes_the_batch_back(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, monkeypatch: pytest.MonkeyPatch, truncatable: bool
) -> None:
    """A batch whose fsync failed was not taken: it never comes back from here, and its file is not written again."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    spool = make_spool()
    spool.append(make_batch(1))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        if not truncatable:
            broken.setattr(os, "truncate", fail)
        with pytest.raises(OSError, match="Input/output error"):
            spool.append(make_batch(2))
    spool.append(make_batch(3))
    assert sorted(path.name for path in home.glob("*.seg")) == ["00000001.seg", "00000002.seg"]
    assert list(drain(spool)) == [make_batch(1), make_batch(3)]
    assert spool.figures() == Figures()


def test_a_file_that_cannot_be_read_is_kept(
    make_spool: MakeSpool,
    make_batch: MakeBatch,
    home: Path,
    troubles: list[Trouble],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bad sector costs its segment, not the replay: the file is moved to `damaged/` and its rows are reported."""
    spool = make_spool(segment_bytes=1)
    for seq in (1, 2):
        spool.append(make_batch(seq))

    def fail(*_: object) -> bytes:
        monkeypatch.undo()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", fail)
    assert list(drain(spool)) == [make_batch(2)]
    assert [path.name for path in (home / "damaged").iterdir()] == ["00000001.seg"]
    assert [trouble.levels for trouble in troubles] == [make_batch(1).levels]
    assert "Input/output error" in troubles[0].reason


def test_a_deleted_directory_is_made_again(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """When somebody deletes the spool under a running writer, what was lost is reported and the next batch is safe."""
    spool = make_spool()
    spool.append(make_batch(1))
    shutil.rmtree(tmp_path / "spool")
    spool.append(make_batch(2))
    assert [trouble.levels for trouble in troubles] == [make_batch(1).levels]
    assert spool.figures().frames == 1
    assert list(drain(spool)) == [make_batch(2)]


def test_a_directory_deleted_during_a_write_is_noticed(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that went into a file that is already deleted was not taken: append raises, and the next one is safe."""
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        shutil.rmtree(tmp_path / "spool")

    spool = make_spool()
    with monkeypatch.context() as racing:
        racing.setattr(os, "fsync", fsync)
        with pytest.raises(FileNotFoundError):
            spool.append(make_batch(1))
    spool.append(make_batch(2))
    assert list(drain(spool)) == [make_batch(2)]


def test_a_batch_being_replayed_survives_the_deletion_of_its_file(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """When the spool is deleted during replay, the segment that is being read is read to its end; others are lost."""
    spool = make_spool()
    for seq in (1, 2):
        spool.append(make_batch(seq))
    assert spool.oldest() == make_batch(1)
    spool.append(make_batch(3))
    shutil.rmtree(tmp_path / "spool")
    spool.append(make_batch(4))
    assert list(drain(spool)) == [make_batch(seq) for seq in (1, 2, 4)]
    assert [trouble.levels for trouble in troubles] == [make_batch(3).levels]
