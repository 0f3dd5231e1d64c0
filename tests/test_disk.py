"""What is known of the room on a disk."""

import errno
import os
from pathlib import Path

import pytest
from disks import fill, small_disk

from dblog import disk
from dblog.disk import Space

MB = 1024 * 1024


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    """Size and free bytes are those of the file system that has the path; a full one has none free."""
    with small_disk(tmp_path / "disk", 4) as folder:
        empty = disk.space(folder)
        assert (empty.size, empty.free, empty.takes_files) == (4 * MB, 4 * MB, True)
        fill(folder)
        assert disk.space(folder).free == 0


def test_a_disk_without_room_for_files_says_so(tmp_path: Path) -> None:
    """A file system that has bytes but can hold no more files is told from one that can."""
    with small_disk(tmp_path / "disk", 4) as folder:
        os.system(f"mount -o remount,nr_inodes=3 {folder}")  # noqa: S605 - the root, and two files
        assert disk.space(folder).takes_files
        (folder / "one").touch()
        (folder / "two").touch()
        full = disk.space(folder)
        assert not full.takes_files
        assert full.free > 0


@pytest.mark.parametrize(
    ("space", "reserve", "beside"),
    [
        (Space(10_000 * MB, 300 * MB), 100 * MB, 200 * MB),
        (Space(10_000 * MB, 30 * MB), 100 * MB, -70 * MB),
        (Space(20 * MB, 3 * MB), 100 * MB, 2 * MB),
        (Space(20 * MB, 3 * MB), 0, 3 * MB),
        (Space(0, 0), 100 * MB, 0),
    ],
    ids=["large", "used up", "small", "no reserve", "unknown"],
)
def test_the_reserve(space: Space, reserve: int, beside: int) -> None:
    """What stays free is the reserve, a twentieth of a small file system, and nothing of one that does not tell."""
    assert space.beside(reserve) == beside


def test_which_errors_mean_full() -> None:
    """A full disk and an exhausted quota are full; everything else is something else."""
    full = {name for name in errno.errorcode if disk.is_full(OSError(name, "x"))}
    assert full == {errno.ENOSPC, errno.EDQUOT}


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """A missing path is an error, not an empty disk."""
    with pytest.raises(FileNotFoundError):
        disk.space(tmp_path / "missing")
