"""How much of a disk the spool takes: its own limit, and what it leaves to everybody else."""

import errno
import os
import subprocess
from pathlib import Path

import pytest
from spools import MakeBatch, MakeSpool, drain, fill

from dblog.sinks.room import SpoolFull

MIB = 1024 * 1024


def free(disk: Path) -> int:
    """Bytes that a file system has left."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def test_a_twentieth_of_a_small_disk_stays_free(small_disk: Path, make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """The spool stops before the disk is full, says so by name, and goes on once there is room again."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * (MIB // 2))
    spool = make_spool(directory=small_disk / "spool")
    taken, full = fill(spool, make_batch, 1)
    assert isinstance(full, SpoolFull)
    assert (full.errno, "a twentieth of a small disk" in str(full)) == (errno.ENOSPC, True)
    assert MIB // 20 <= free(small_disk) < MIB // 10
    ballast.unlink()
    spool.append(make_batch(1000))
    assert list(drain(spool)) == [*taken, make_batch(1000)]


def test_bytes_are_left_free_on_a_larger_disk(small_disk: Path, make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """Where a twentieth is more than `min_free`, `min_free` counts."""
    spool = make_spool(directory=small_disk / "spool", min_free=20_000)
    _, full = fill(spool, make_batch, 1, width=1000)
    assert "spool_min_free, 20000" in str(full)
    assert 20_000 <= free(small_disk) < 30_000


def test_the_room_left_is_that_of_the_nearer_limit(
    small_disk: Path, make_spool: MakeSpool, make_batch: MakeBatch
) -> None:
    """What may still be taken is what `max_bytes` leaves or what the disk does, whichever is less, down to 0."""
    now = [0.0]
    spool = make_spool(directory=small_disk / "spool", max_bytes=100 * MIB, clock=lambda: now[0])
    spool.append(make_batch(1, levels={20: 1}, width=100_000))
    now[0] += 2
    assert spool.room_left() == pytest.approx(free(small_disk) - MIB // 20, rel=0.01)
    (small_disk / "ballast").write_bytes(b"\0" * free(small_disk))
    assert spool.room_left() > 0, "the disk is not asked more than once a second"
    now[0] += 2
    assert spool.room_left() == 0


def test_the_share_is_that_of_the_limit(make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """The share that is used is that of `max_bytes`; with `min_free` 0 the room left is, too."""
    spool = make_spool(max_bytes=1_000_000, min_free=0)
    spool.append(make_batch(1, levels={20: 1}, width=250_000))
    assert spool.share_used() == pytest.approx(0.25, abs=0.01)
    assert spool.room_left() == 1_000_000 - spool.figures().bytes
    list(drain(spool))
    assert (spool.share_used(), spool.room_left()) == (0, 1_000_000)


def test_a_quota_is_waited_out(tmp_path: Path, make_spool: MakeSpool, make_batch: MakeBatch) -> None:
    """Where the user has used up a quota append raises, keeps no torn frame, and works again once it is lifted."""
    disk = tmp_path / "quota"
    disk.mkdir()
    options = "size=8M,usrquota_block_hardlimit=512K"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a quota is NOT tested: mounting a tmpfs with one failed: {mounted.stderr.strip()}")
    before = os.geteuid()
    try:
        disk.chmod(0o777)
        ballast = disk / "ballast"
        os.seteuid(65534)
        ballast.write_bytes(b"\0" * 300_000)
        spool = make_spool(directory=disk / "spool")
        taken, refused = fill(spool, make_batch, 1)
        assert (refused.errno, isinstance(refused, SpoolFull)) == (errno.EDQUOT, False)
        ballast.unlink()
        spool.append(make_batch(1000))
        assert list(drain(spool)) == [*taken, make_batch(1000)]
        spool.close()
    finally:
        os.seteuid(before)
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
