"""Damaged, unreadable and vanished files: each costs what is in it, and is told."""

import errno
import os
from pathlib import Path

import pytest
from spools import MakeBatch, MakeSpool, drain, flip

from dblog.sinks import frames
from dblog.sinks.frames import Header
from dblog.sinks.segments import Figures, Trouble


def test_damage_costs_one_batch_and_is_set_aside(
    make_spool: MakeSpool, make_batch: MakeBatch, home: Path, header: Header, troubles: list[Trouble]
) -> None:
    """An altered byte costs the batch around it: its bytes are kept, its rows reported, all others come back."""
    written = [make_batch(seq) for seq in range(1, 6)]
    spool = make_spool()
    for batch in written:
        spool.append(batch)
    encoded = [frames.encode(batch, header) for batch in written]
    begin = len(header.line) + len(encoded[0]) + len(encoded[1])
    flip(home / "00000001.seg", begin + 5)
    assert list(drain(spool)) == [batch for batch in written if batch != written[2]]
    pieces = list((home.parent / "damaged").iterdir())
    assert [len(piece.read_bytes()) for piece in pieces] == [len(encoded[2])]
    assert [trouble.levels for trouble in troubles] == [written[2].levels]
    assert str(pieces[0]) in troubles[0].reason
    assert spool.figures() == Figures()
    assert [piece.name for piece in pieces] == [f"{home.name}-00000001-{begin}.part"]
    spool.close()
    assert [path.name for path in home.parent.iterdir()] == ["damaged"]


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
    assert [path.name for path in (home.parent / "damaged").iterdir()] == [f"{home.name}-00000001.seg"]
    assert [trouble.levels for trouble in troubles] == [make_batch(1).levels]
    assert "Input/output error" in troubles[0].reason


def test_damaged_files_are_bounded(
    make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path, troubles: list[Trouble]
) -> None:
    """Beyond a tenth of `max_bytes` the oldest damaged files go, whoever left them, and each is reported."""
    damaged = tmp_path / "spool" / "damaged"
    damaged.mkdir(parents=True)
    for age, name in ((300, "oldest"), (200, "older"), (100, "young")):
        (damaged / name).write_bytes(b"x" * 4000)
        os.utime(damaged / name, (1e9 - age, 1e9 - age))
    spool = make_spool(max_bytes=100_000, min_free=0)
    spool.append(make_batch(1, levels={20: 1}, width=3000))
    flip(tmp_path / "spool" / f"{1:032x}" / "00000001.seg", 2000)
    assert list(drain(spool)) == []
    assert sum(path.stat().st_size for path in damaged.iterdir()) <= 10_000
    assert sorted(path.name for path in damaged.glob("[oy]*")) == ["young"]
    assert [trouble.path.name for trouble in troubles[:2]] == ["oldest", "older"]
    assert all("4000 damaged bytes were deleted" in trouble.reason for trouble in troubles[:2])


def test_the_newest_damage_is_always_kept(make_spool: MakeSpool, make_batch: MakeBatch, tmp_path: Path) -> None:
    """A piece that is larger than all damaged files may be stays until a newer one comes."""
    spool = make_spool(max_bytes=10_000, min_free=0)
    spool.append(make_batch(1, levels={20: 1}, width=3000))
    flip(tmp_path / "spool" / f"{1:032x}" / "00000001.seg", 2000)
    assert list(drain(spool)) == []
    assert [path.stat().st_size > 3000 for path in (tmp_path / "spool" / "damaged").iterdir()] == [True]
