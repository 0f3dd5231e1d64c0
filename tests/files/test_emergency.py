"""Room on a full disk: the oldest of our own files first, and never more than is needed."""

import errno
import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from disks import fill, small_disk

from dblog.files.fulldisk.emergency import EmergencyCleanup
from dblog.files.livefile import LiveFile
from dblog.files.rotated.backups import Backups
from dblog.files.rotated.names import FileNames
from dblog.selflog import Announcer

KB, MB = 1024, 1024 * 1024
FULL = OSError(errno.ENOSPC, "x")
QUOTA = OSError(errno.EDQUOT, "x")
LINE = b"%099d\n"

Make = Callable[..., EmergencyCleanup]


def lines(size: int) -> bytes:
    """So many bytes of numbered lines of a hundred bytes each."""
    return b"".join(LINE % number for number in range(size // 100))


def cleanup(folder: Path, threshold: int, *, min_free: int = 0, newline: bytes = b"\n") -> EmergencyCleanup:
    """The clean-up of `app.log` in a folder."""
    live = folder / "app.log"
    return EmergencyCleanup(
        LiveFile(live, newline=newline),
        Backups(FileNames(live, "index")),
        threshold=threshold,
        min_free=min_free,
        newline=newline,
        locked=threading.RLock,
        announcer=Announcer(),
    )


def figures(done: EmergencyCleanup) -> tuple[int, int, int]:
    """Files, lines and bytes that were removed."""
    return done.removed_files, done.removed_lines, done.removed_bytes


def left(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_the_oldest_first_until_it_is_enough(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Rotated files go from the oldest on until the threshold is free, are counted to the line, and are announced."""
    with small_disk(tmp_path / "disk", 8) as folder:
        for index in range(1, 6):
            (folder / f"app.log.{index}").write_bytes(lines(500 * KB))
        (folder / "app.log").write_bytes(lines(100))
        fill(folder)
        done = cleanup(folder, 900 * KB)
        done.run(FULL)
        assert left(folder) == ["app.log", "app.log.1", "app.log.2", "app.log.3", "ballast"]
        assert figures(done) == (2, 2 * 5120, 2 * 512_000)
        said = capfd.readouterr().err
        assert said == (
            f"dblog: the disk is full, deleted for {folder}/app.log: 1,024,000 bytes with 10,240 lines"
            " and 2 rotated files\n"
        )


def test_every_clean_up_is_announced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of a clean-up right after another one there is a line, too: nothing goes that nobody was told of."""
    with small_disk(tmp_path / "disk", 4) as folder:
        done = cleanup(folder, 3 * MB)
        for size in (100, 200):
            (folder / "app.log.1").write_bytes(lines(size))
            ballast = fill(folder)
            done.run(FULL)
            ballast.unlink()
        said = capfd.readouterr().err.splitlines()
        assert ["100 bytes" in said[0], "200 bytes" in said[1]] == [True, True]


def test_files_of_others_stay(tmp_path: Path) -> None:
    """Whatever is missing, nothing goes but rotated files of this very log."""
    with small_disk(tmp_path / "disk", 4) as folder:
        for name in ("other.log.1", "app.log.old", "app.log.1.bak", "app.log", "app.log.7"):
            (folder / name).write_bytes(lines(100 * KB))
        (folder / "app.log.8").mkdir()
        fill(folder)
        cleanup(folder, 2 * MB, min_free=0).run(FULL)
        assert left(folder) == ["app.log", "app.log.1.bak", "app.log.8", "app.log.old", "ballast", "other.log.1"]


def test_a_small_disk(tmp_path: Path) -> None:
    """A threshold beyond half of the disk counts as half of it."""
    with small_disk(tmp_path / "disk", 4) as folder:
        for index in range(1, 7):
            (folder / f"app.log.{index}").write_bytes(lines(600 * KB))
        fill(folder)
        cleanup(folder, 50 * MB).run(FULL)
        assert left(folder) == ["app.log.1", "app.log.2", "ballast"]


def test_a_disk_that_has_room_again(tmp_path: Path) -> None:
    """Where somebody else has made room in between, nothing is deleted."""
    with small_disk(tmp_path / "disk", 4) as folder:
        (folder / "app.log.1").write_bytes(lines(600 * KB))
        done = cleanup(folder, MB)
        done.run(FULL)
        assert (left(folder), figures(done)) == (["app.log.1"], (0, 0, 0))


def test_a_disk_without_room_for_files(tmp_path: Path) -> None:
    """Where the disk has bytes and can hold no more files, one rotated file makes room for one."""
    with small_disk(tmp_path / "disk", 4) as folder:
        os.system(f"mount -o remount,nr_inodes=4 {folder}")  # noqa: S605 - the root, and three files
        for name in ("app.log.1", "app.log.2", "app.log.3"):
            (folder / name).write_bytes(lines(KB))
        done = cleanup(folder, MB)
        done.run(FULL)
        assert left(folder) == ["app.log.1", "app.log.2"]


def test_a_threshold_of_nothing_deletes_nothing(tmp_path: Path) -> None:
    """With a threshold of 0 nothing is deleted or cut, also where the disk can hold no more files."""
    with small_disk(tmp_path / "disk", 4) as folder:
        os.system(f"mount -o remount,nr_inodes=3 {folder}")  # noqa: S605 - the root, and two files
        (folder / "app.log.1").write_bytes(lines(KB))
        (folder / "app.log").write_bytes(lines(KB))
        done = cleanup(folder, 0)
        done.run(FULL)
        assert left(folder) == ["app.log", "app.log.1"]
        assert figures(done) == (0, 0, 0)


def test_a_quota(tmp_path: Path) -> None:
    """Of an exhausted quota the disk tells nothing: what is given back counts."""
    with small_disk(tmp_path / "disk", 16) as folder:
        for index in range(1, 6):
            (folder / f"app.log.{index}").write_bytes(lines(500 * KB))
        cleanup(folder, 900 * KB).run(QUOTA)
        assert left(folder) == ["app.log.1", "app.log.2", "app.log.3"]


def test_compressed_and_wide_lines_are_counted(tmp_path: Path) -> None:
    """Lines in compressed files and in UTF-16 are counted as what they are; damaged files as far as they go."""
    with small_disk(tmp_path / "disk", 4) as folder:
        (folder / "app.log.3.gz").write_bytes(gzip.compress(lines(10_000)))
        (folder / "app.log.2.gz").write_bytes(b"no gzip\n")
        fill(folder)
        done = cleanup(folder, 2 * MB)
        done.run(FULL)
        assert (done.removed_files, done.removed_lines) == (2, 100)
    with small_disk(tmp_path / "wide", 4) as folder:
        (folder / "app.log.1").write_bytes("\ufeff\u0a00\u000a\u000d\u0a0d\u000a".encode("utf-16-le"))
        fill(folder)
        done = cleanup(folder, 2 * MB, newline="\n".encode("utf-16-le"))
        done.run(FULL)
        assert (done.removed_files, done.removed_lines) == (1, 2)


def test_the_live_file_is_cut_where_that_is_enough(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without rotated files, a large live file keeps its last tenth, from the begin of a line; the rest is counted."""
    with small_disk(tmp_path / "disk", 8) as folder:
        live = folder / "app.log"
        live.write_bytes(lines(3_000_000))
        fill(folder)
        done = cleanup(folder, 2 * MB)
        done.run(FULL)
        assert live.read_bytes() == lines(3_000_000)[-300_000:]
        assert figures(done) == (0, 27_000, 2_700_000)
        assert "2,700,000 of them from the beginning of the live file," in capfd.readouterr().err


def test_the_live_file_is_cut_where_that_brings_it_back(tmp_path: Path) -> None:
    """A live file that is too small for the threshold is cut where it can be written then, and not otherwise."""
    with small_disk(tmp_path / "disk", 8) as folder:
        live = folder / "app.log"
        live.write_bytes(lines(600_000))
        fill(folder)
        cleanup(folder, 4 * MB, min_free=MB).run(FULL)  # a twentieth of the disk is enough to go on
        assert live.stat().st_size == 60_000
    with small_disk(tmp_path / "other", 8) as folder:
        live = folder / "app.log"
        live.write_bytes(lines(300_000))
        fill(folder)
        done = cleanup(folder, 4 * MB, min_free=MB)
        done.run(FULL)
        assert live.stat().st_size == 300_000
        assert figures(done) == (0, 0, 0)


def test_a_hard_link_frees_nothing(tmp_path: Path) -> None:
    """A rotated file of which somebody keeps a link gives nothing back, and the next one goes, too."""
    with small_disk(tmp_path / "disk", 8) as folder:
        for index in (1, 2, 3):
            (folder / f"app.log.{index}").write_bytes(lines(600 * KB))
        (folder / "kept").hardlink_to(folder / "app.log.3")
        fill(folder)
        cleanup(folder, 500 * KB).run(FULL)
        assert left(folder) == ["app.log.1", "ballast", "kept"]


def test_a_folder_that_is_gone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A clean-up that cannot be done says so and raises nothing."""
    done = cleanup(tmp_path / "gone", MB)
    done.run(FULL)
    assert figures(done) == (0, 0, 0)
    assert "no more room can be made for" in capfd.readouterr().err
