"""When batches are brought to the disk, and what a disk costs that fails to take them."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from spools import MakeBatch, MakeSpool, drain, failing, segments

from dblog.batch import Rejected
from dblog.sinks.segments import Figures, Trouble


@pytest.mark.parametrize("truncatable", [True, False], ids=["cut back", "not even that"])
def test_a_failed_fsync_takes_the_batch_back(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, monkeypatch: pytest.MonkeyPatch, truncatable: bool
) -> None:
    """A batch whose fsync failed was not taken: it never comes back from here, and its file is not written again."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    spool = make_spool(fsync="always")
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


def test_a_directory_deleted_during_a_write_is_noticed(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that went into a file that is already deleted was not taken: append raises, and the next one is safe."""
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        shutil.rmtree(tmp_path / "spool")

    spool = make_spool(fsync="always")
    with monkeypatch.context() as racing:
        racing.setattr(os, "fsync", fsync)
        with pytest.raises(FileNotFoundError):
            spool.append(make_batch(1))
    spool.append(make_batch(2))
    assert list(drain(spool)) == [make_batch(2)]


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files and directories that were brought to the disk, by name."""
    names: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        names.extend(path.name for path in tmp_path.rglob("*") if os.path.samestat(path.stat(), os.fstat(fd)))

    monkeypatch.setattr(os, "fsync", fsync)
    return names


def test_always_syncs_before_append_returns(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, synced: list[str]
) -> None:
    """With `always` each batch is on the disk when append returns, a new file with the names that lead to it."""
    spool = make_spool(fsync="always")
    spool.append(make_batch(1))
    assert synced == ["spool", "00000001.seg", home.name]
    spool.append(make_batch(2))
    assert synced[3:] == ["00000001.seg"]
    spool.sync()
    assert len(synced) == 4


def test_never_leaves_it_to_the_kernel(make_spool: MakeSpool, make_batch: MakeBatch, synced: list[str]) -> None:
    """With `never` nothing is brought to the disk, not even on closing."""
    spool = make_spool(fsync="never", fsync_interval=0)
    spool.append(make_batch(1))
    spool.set_aside(make_batch(1), [Rejected(make_batch(1).payload.splitlines(keepends=True)[0], "bad")])
    spool.sync()
    spool.close()
    assert synced == []


def test_interval_syncs_what_is_owed_when_it_is_due(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, synced: list[str]
) -> None:
    """With `interval` sync brings all segments with fresh batches to the disk, once in that time; close the rest."""
    now = [0.0]
    spool = make_spool(fsync_interval=5, segment_bytes=1, clock=lambda: now[0])
    for seq in (1, 2):
        spool.append(make_batch(seq))
    synced.clear()
    for now[0] in (4.9, 5.0, 9.0, 10.0):
        spool.sync()
    assert synced == ["00000001.seg", home.name, "00000002.seg", home.name]
    spool.append(make_batch(3))
    spool.close()
    assert synced[4:] == ["00000003.seg", home.name]


def test_refused_rows_are_on_the_disk_before_commit(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, synced: list[str]
) -> None:
    """With `interval`, too, rows that are set aside are on the disk when `set_aside` returns."""
    spool = make_spool()
    batch = make_batch(1)
    spool.set_aside(batch, [Rejected(batch.payload.splitlines(keepends=True)[0], "bad")])
    assert synced[-2:] == [f"refused-2026-11-21-{home.name}-1.seg.tmp", home.name]


def test_a_failed_interval_makes_the_segment_doubtful(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, troubles: list[Trouble]
) -> None:
    """After a failed fsync (simulated) nothing more goes into that file, it is reported, and what is whole comes."""
    spool = make_spool(fsync_interval=0)
    spool.append(make_batch(1))
    with failing(errno.EIO, "fsync"):
        spool.sync()
        spool.sync()
    assert [(trouble.path.name, trouble.levels) for trouble in troubles] == [("00000001.seg", {})]
    assert "fsync failed: Input/output error" in troubles[0].reason
    spool.append(make_batch(2))
    assert segments(home) == ["00000001.seg", "00000002.seg"]
    spool.sync()
    assert list(drain(spool)) == [make_batch(1), make_batch(2)]
    assert len(troubles) == 1


def test_a_full_disk_does_not_cost_the_owed_sync(
    make_spool: MakeSpool, make_batch: MakeBatch, synced: list[str]
) -> None:
    """Where a batch could not be appended, those before it in the file are still brought to the disk when due."""
    spool = make_spool(fsync_interval=0)
    spool.append(make_batch(1))
    synced.clear()
    with failing(errno.ENOSPC, "write"), pytest.raises(OSError, match="No space left"):
        spool.append(make_batch(2))
    spool.sync()
    assert synced[:1] == ["00000001.seg"]
