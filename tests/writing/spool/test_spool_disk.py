"""The spool on a disk that fails: whole or not at all, and fit again as soon as the disk is."""

import errno
import os
import pwd
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from spools import MakeBatch, MakeSpool, drain, failing, fill, leave, segments

import dblog
from dblog.sinks import frames
from dblog.sinks.frames import Header
from dblog.sinks.segments import Trouble

SHORT_WRITE = """
import resource, signal, sys
from contextlib import contextmanager
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


def read_segments(spool_dir: Path, header: Header) -> list[object]:
    """What another process would find in the segments."""
    found: list[object] = []
    for path in sorted(spool_dir.glob("*/*.seg")):
        with path.open("rb", buffering=0) as file:
            found.extend(frames.read(file.fileno(), header, path.stat().st_size))
    return found


def test_a_full_disk_takes_whole_batches_only(
    small_disk: Path, make_spool: MakeSpool, make_batch: MakeBatch, header: Header, troubles: list[Trouble]
) -> None:
    """On a full disk append raises and leaves no torn frame; with room again it works, and all that was taken comes."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 300_000)
    spool = make_spool(directory=small_disk / "spool", min_free=0, segment_bytes=100_000)
    taken, full = fill(spool, make_batch, 1)
    assert full.errno == errno.ENOSPC
    assert read_segments(small_disk / "spool", header) == taken
    assert fill(spool, make_batch, 1000)[0] == []
    sizes = [path.stat().st_size for path in (small_disk / "spool").glob("*/*.seg")]
    assert all(sizes)
    assert sum(sizes) == spool.figures().bytes
    ballast.unlink()
    taken += fill(spool, make_batch, 2000)[0]
    assert spool.figures().frames == len(taken) > 100
    assert list(drain(spool)) == taken
    assert troubles == []


def test_a_full_disk_does_not_stop_replay(
    small_disk: Path, make_spool: MakeSpool, make_batch: MakeBatch, troubles: list[Trouble]
) -> None:
    """Where there is no room to copy damaged bytes out, the whole file is kept instead, and its other batches come."""
    spool = make_spool(directory=small_disk / "spool", min_free=0, segment_bytes=100_000)
    taken, full = fill(spool, make_batch, 1)
    assert full.errno == errno.ENOSPC
    path = next((small_disk / "spool").glob("*/00000001.seg"))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(3000)
        file.write(b"?")
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "rest").write_bytes(b"\0" * 2**20)
    assert list(drain(spool)) == taken[1:]
    kept = small_disk / "spool" / "damaged" / f"{path.parent.name}-{path.name}"
    assert kept.stat().st_size == size
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


@contextmanager
def no_descriptors() -> Iterator[None]:
    """No file can be opened."""
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_many_open_files_are_waited_out(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """When no descriptor is left, appending and reading fail with OSError, lose nothing, and go on later."""
    spool = make_spool(segment_bytes=1)
    spool.append(make_batch(1))
    with no_descriptors():
        with pytest.raises(OSError, match="Too many open files"):
            spool.append(make_batch(2))
        with pytest.raises(OSError, match="Too many open files"):
            spool.oldest()
    spool.append(make_batch(2))
    assert list(drain(spool)) == [make_batch(1), make_batch(2)]


def test_a_directory_that_could_not_be_made_leaves_no_trace(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path
) -> None:
    """When the lock cannot be made, the directory made for it goes again, and the next batch makes it anew."""
    spool = make_spool()
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        spool.append(make_batch(1))
    assert list(home.parent.iterdir()) == []
    spool.append(make_batch(2))
    assert list(home.parent.iterdir()) == [home]


def test_a_directory_that_was_not_looked_into_is_not_written_to(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path
) -> None:
    """Where the lock can be had but the directory not be read (simulated), no segment in it is overwritten later."""
    leave(make_spool(1), make_batch(1))
    leave(make_spool(2), make_batch(1, writer=2))
    spool = make_spool(1)
    with failing(errno.EMFILE, "listdir", "scandir"), pytest.raises(OSError, match="Too many open files"):
        spool.open()
    assert spool.adopt().figures.frames == 1
    assert segments(home) == ["00000001.seg", "00000002.seg"]


def test_a_frame_that_is_written_counts_though_the_way_to_it_is_closed(
    make_spool: MakeSpool, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rights that are taken away during a write leave its batch in the spool, not in two places."""
    with tempfile.TemporaryDirectory(dir="/tmp") as shared, as_an_ordinary_user(Path(shared)):
        directory = Path(shared) / "spool"
        spool = make_spool(directory=directory, fsync="always")
        spool.append(make_batch(1))
        bring_to_disk = os.fsync

        def lose_rights(fd: int) -> None:
            bring_to_disk(fd)
            directory.chmod(0o000)

        monkeypatch.setattr(os, "fsync", lose_rights)
        spool.append(make_batch(2))
        monkeypatch.undo()
        assert spool.figures().frames == 2
        with pytest.raises(PermissionError):
            spool.append(make_batch(3))
        assert spool.figures().frames == 2
        directory.chmod(0o750)
        spool.append(make_batch(3))
        assert [batch.key.seq for batch in drain(spool)] == [1, 2, 3]
        spool.close()


@contextmanager
def as_an_ordinary_user(folder: Path) -> Iterator[None]:
    """Be somebody whom rights can be taken from, with a folder of one's own."""
    if os.geteuid() != 0:
        yield
        return
    nobody = pwd.getpwnam("nobody")
    shutil.chown(folder, nobody.pw_uid)
    os.seteuid(nobody.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
