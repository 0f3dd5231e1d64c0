"""The spool of one writer: what goes in comes back, in order, and leaves nothing behind."""

import errno
import os
import resource
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dblog.batch import Batch
from dblog.sinks import frames
from dblog.sinks.backlog import Trouble
from dblog.sinks.segments import Figures
from dblog.sinks.spool import Spool, SpoolFull

MakeBatch = Callable[..., Batch]
MakeSpool = Callable[..., Spool]


def drain(spool: Spool) -> Iterator[Batch]:
    """Take everything that waits."""
    while (batch := spool.oldest()) is not None:
        yield batch
        spool.acknowledge(batch)


def segments(home: Path) -> list[str]:
    """The names of the segments, in order."""
    return sorted(path.name for path in home.glob("*.seg"))


def flip(path: Path, offset: int) -> None:
    """Alter one byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x40]))


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that takes no right away."""
    old = os.umask(0)
    yield
    os.umask(old)


def test_batches_come_back_in_order(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """What was appended comes back unchanged and in order, across many segments."""
    written = [make_batch(seq) for seq in range(1, 30)]
    spool = make_spool(segment_bytes=2000)
    for batch in written:
        spool.append(batch)
    assert list(drain(spool)) == written


def test_the_oldest_stays_until_it_is_acknowledged(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """The oldest batch is given again and again until it is acknowledged; no other one can be."""
    spool = make_spool()
    first, second = make_batch(1), make_batch(2)
    spool.append(first)
    spool.append(second)
    assert [spool.oldest(), spool.oldest()] == [first, first]
    with pytest.raises(ValueError, match="not the oldest"):
        spool.acknowledge(second)
    spool.acknowledge(first)
    assert spool.oldest() == second


def test_what_arrives_during_replay_comes_last(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """Reading ends the segment that is written: a batch that arrives during replay goes into a new one."""
    written = [make_batch(seq) for seq in range(1, 4)]
    spool = make_spool()
    spool.append(written[0])
    spool.append(written[1])
    assert spool.oldest() == written[0]
    spool.append(written[2])
    assert segments(home) == ["00000001.seg", "00000002.seg"]
    assert list(drain(spool)) == written


def test_a_segment_goes_with_its_last_frame(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """A segment's file is deleted when its last batch is acknowledged, not before and not later."""
    spool = make_spool(segment_bytes=1)
    for seq in (1, 2):
        spool.append(make_batch(seq))
    batch = spool.oldest()
    assert batch is not None
    assert segments(home) == ["00000001.seg", "00000002.seg"]
    spool.acknowledge(batch)
    assert segments(home) == ["00000002.seg"]


def test_the_figures_add_up_at_every_step(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """Frames, rows by level and bytes on disk are exact after every append and every acknowledgement."""
    spool = make_spool(segment_bytes=1500)
    waiting: list[Batch] = []

    def check() -> None:
        levels = sum((Counter(batch.levels) for batch in waiting), Counter[int]())
        on_disk = sum(path.stat().st_size for path in home.glob("*.seg"))
        assert spool.figures() == Figures(len(waiting), levels, on_disk)
        assert spool.figures().rows == levels.total()

    for seq in range(1, 12):
        batch = make_batch(seq, levels={10 * (seq % 4): seq} if seq % 5 else {})
        spool.append(batch)
        waiting.append(batch)
        check()
    while waiting:
        assert spool.oldest() == waiting[0]
        spool.acknowledge(waiting.pop(0))
        check()
    assert spool.figures() == Figures()


@pytest.mark.usefixtures("open_umask")
def test_files_are_for_the_owner_and_the_group(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """Directories have mode 0750 and files 0640, so that nobody else reads what was logged."""
    make_spool().append(make_batch(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home.parent, home, *home.iterdir())}
    assert modes == {"spool": 0o750, home.name: 0o750, "lock": 0o640, "00000001.seg": 0o640}


def test_the_limit_is_kept(make_spool: MakeSpool, make_batch: MakeBatch, home: Path, header: bytes) -> None:
    """A batch that would exceed `max_bytes` is refused by name, and taken as soon as there is room again."""
    size = len(header) + len(frames.encode(make_batch(1), header))
    spool = make_spool(max_bytes=2 * size + 9, segment_bytes=1)
    taken = [make_batch(1), make_batch(2)]
    for batch in taken:
        spool.append(batch)
    with pytest.raises(SpoolFull, match=f"its limit of {2 * size + 9} bytes") as full:
        spool.append(make_batch(3))
    assert full.value.errno == errno.EDQUOT
    assert segments(home) == ["00000001.seg", "00000002.seg"]
    assert spool.oldest() == taken[0]
    spool.acknowledge(taken[0])
    spool.append(make_batch(4))
    assert list(drain(spool)) == [make_batch(2), make_batch(4)]


def test_nothing_is_made_before_the_first_batch(make_spool: MakeSpool, tmp_path: Path) -> None:
    """A spool that is never needed makes no file."""
    spool = make_spool()
    assert spool.oldest() is None
    assert spool.adopt() == Figures()
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_spool_removes_its_directory(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """When everything was acknowledged, closing leaves nothing of the writer."""
    spool = make_spool()
    spool.append(make_batch(1))
    list(drain(spool))
    spool.close()
    assert list(home.parent.iterdir()) == []


def test_closing_keeps_what_waits(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """What was not acknowledged is still there after closing."""
    spool = make_spool()
    spool.append(make_batch(1))
    spool.close()
    assert segments(home) == ["00000001.seg"]


def test_opening_again_keeps_what_waits(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """A writer that comes back to its directory begins a new segment and leaves the old ones as they are."""
    for seq in (1, 2):
        spool = make_spool()
        spool.append(make_batch(seq))
        spool.close()
    assert segments(home) == ["00000001.seg", "00000002.seg"]
    assert make_spool(2).adopt().frames == 2


def test_a_writer_id_must_be_a_uuid(make_spool: MakeSpool, tmp_path: Path) -> None:
    """A writer's id that could lead out of the directory is refused with its value."""
    with pytest.raises(ValueError, match=r"'\.\./x'"):
        Spool(tmp_path, writer_id="../x", target="here", report=print)


def test_damage_costs_one_batch_and_is_set_aside(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, header: bytes, troubles: list[Trouble]
) -> None:
    """An altered byte costs the batch around it: its bytes are kept, its rows reported, all others come back."""
    written = [make_batch(seq) for seq in range(1, 6)]
    spool = make_spool()
    for batch in written:
        spool.append(batch)
    encoded = [frames.encode(batch, header) for batch in written]
    begin = len(header) + len(encoded[0]) + len(encoded[1])
    flip(home / "00000001.seg", begin + 5)
    assert list(drain(spool)) == [batch for batch in written if batch != written[2]]
    pieces = list((home / "damaged").iterdir())
    assert [len(piece.read_bytes()) for piece in pieces] == [len(encoded[2])]
    assert [trouble.levels for trouble in troubles] == [written[2].levels]
    assert str(pieces[0]) in troubles[0].reason
    assert spool.figures() == Figures()
    spool.close()
    assert [path.name for path in home.iterdir() if path.name != "lock"] == ["damaged"]


def test_a_file_that_vanishes_is_reported(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, troubles: list[Trouble]
) -> None:
    """When somebody deletes a segment, its rows are reported, the figures corrected, and the others come back."""
    spool = make_spool(segment_bytes=1)
    for seq in (1, 2, 3):
        spool.append(make_batch(seq))
    (home / "00000002.seg").unlink()
    assert list(drain(spool)) == [make_batch(1), make_batch(3)]
    assert [(trouble.path.name, trouble.levels) for trouble in troubles] == [("00000002.seg", make_batch(2).levels)]
    assert spool.figures() == Figures()


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


def test_a_directory_has_one_owner(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """A second spool of the same writer cannot append, and does the first one no harm."""
    owner, second = make_spool(), make_spool()
    owner.append(make_batch(1))
    with pytest.raises(BlockingIOError, match="another process holds the directory"):
        second.append(make_batch(2))
    second.close()
    assert list(drain(owner)) == [make_batch(1)]


def test_what_cannot_be_deleted_is_delivered_and_reported(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, troubles: list[Trouble]
) -> None:
    """A segment whose file cannot be deleted does not stop replay: all batches come, and what remains is reported."""
    spool = make_spool(segment_bytes=1)
    for seq in (1, 2):
        spool.append(make_batch(seq))
    assert spool.oldest() == make_batch(1)
    (home / "00000001.seg").unlink()
    (home / "00000001.seg").mkdir()
    assert list(drain(spool)) == [make_batch(1), make_batch(2)]
    assert [(trouble.path, trouble.levels) for trouble in troubles] == [(home / "00000001.seg", {})]
    assert "could not be removed" in troubles[0].reason
