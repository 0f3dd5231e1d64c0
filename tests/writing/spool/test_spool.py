"""The spool of one writer: what goes in comes back, in order, and leaves nothing behind."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from spools import MakeBatch, MakeSpool, drain, segments

from dblog.batch import Batch
from dblog.sinks import frames
from dblog.sinks.adoption import Adopted
from dblog.sinks.frames import Header
from dblog.sinks.room import SpoolFull
from dblog.sinks.segments import Figures
from dblog.sinks.spool import Spool


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


def test_the_limit_is_kept(make_spool: MakeSpool, make_batch: MakeBatch, home: Path, header: Header) -> None:
    """A batch that would exceed `max_bytes` is refused by name, and taken as soon as there is room again."""
    size = len(header.line) + len(frames.encode(make_batch(1), header))
    spool = make_spool(max_bytes=2 * size + 9, segment_bytes=1)
    taken = [make_batch(1), make_batch(2)]
    for batch in taken:
        spool.append(batch)
    with pytest.raises(SpoolFull, match=f"its limit, spool_max_bytes: {2 * size + 9}") as full:
        spool.append(make_batch(3))
    assert full.value.errno == errno.EDQUOT
    assert segments(home) == ["00000001.seg", "00000002.seg"]
    assert spool.oldest() == taken[0]
    spool.acknowledge(taken[0])
    spool.append(make_batch(4))
    assert list(drain(spool)) == [make_batch(2), make_batch(4)]


def test_opening_takes_the_directory(make_spool: MakeSpool, home: Path) -> None:
    """A spool that was opened has its directory, with nothing but the lock in it, and closing removes it again."""
    spool = make_spool()
    spool.open()
    assert [path.name for path in home.iterdir()] == ["lock"]
    with pytest.raises(BlockingIOError, match="another process holds the directory"):
        make_spool().open()
    assert spool.oldest() is None
    assert spool.adopt() == Adopted()
    spool.close()
    assert list(home.parent.iterdir()) == []


def test_a_spool_that_is_never_opened_makes_nothing(make_spool: MakeSpool, tmp_path: Path) -> None:
    """Looking into a spool that was neither opened nor appended to makes no file."""
    spool = make_spool()
    assert spool.oldest() is None
    assert spool.adopt() == Adopted()
    assert spool.share_used() == 0
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_status_is_replaced_and_goes_with_the_directory(make_spool: MakeSpool, home: Path) -> None:
    """The status is the one written last, for the owner and the group to read, and does not outlive the directory."""
    spool = make_spool()
    spool.write_status(b"{}")
    spool.write_status(b'{"state":"ok"}')
    assert {path.name for path in home.iterdir()} == {"lock", "status.json"}
    assert (home / "status.json").read_bytes() == b'{"state":"ok"}'
    assert stat.S_IMODE((home / "status.json").stat().st_mode) & 0o007 == 0
    spool.close()
    assert list(home.parent.iterdir()) == []


def test_a_segment_is_rolled_by_its_age(make_spool: MakeSpool, make_batch: MakeBatch, home: Path) -> None:
    """A batch that arrives `segment_seconds` after a segment was begun goes into a new one."""
    now = [100.0]
    spool = make_spool(segment_seconds=60, clock=lambda: now[0])
    for seq, moment in ((1, 100.0), (2, 159.0), (3, 160.0), (4, 161.0)):
        now[0] = moment
        spool.append(make_batch(seq))
    assert segments(home) == ["00000001.seg", "00000002.seg"]
    assert [batch.key.seq for batch in drain(spool)] == [1, 2, 3, 4]


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
    assert make_spool(2).adopt().figures.frames == 2


def test_a_writer_id_must_be_a_uuid(make_spool: MakeSpool, tmp_path: Path) -> None:
    """A writer's id that could lead out of the directory is refused with its value."""
    with pytest.raises(ValueError, match=r"'\.\./x'"):
        Spool(tmp_path, writer_id="../x", target="here", report=print)


def test_a_directory_has_one_owner(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """A second spool of the same writer cannot append, and does the first one no harm."""
    owner, second = make_spool(), make_spool()
    owner.append(make_batch(1))
    with pytest.raises(BlockingIOError, match="another process holds the directory"):
        second.append(make_batch(2))
    second.close()
    assert list(drain(owner)) == [make_batch(1)]
