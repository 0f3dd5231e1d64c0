"""Rotations that do not go as they should: tried again, done by a copy, or given up with an alert."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from crashes import crashes
from rotating import NOON, Log

from dblog.files.rotated import copying
from dblog.files.rotated.names import FileNames

ALERT = "ALERT_LOG_ROTATION_FAILED.txt"


@contextmanager
def mounted_by_itself(path: Path) -> Iterator[None]:
    """Mount a file on itself, as containers do with single files: it cannot be renamed any more."""
    mount: list[str | Path] = ["mount", "--bind", path, path]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("NO MOUNTS: a test that mounts a file needs root and the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
def fail_renames(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int], list[str]]:
    """Has renames of a file fail with an error, so many times."""
    rename = Path.rename

    def arrange(name: str, code: int, times: int) -> list[str]:
        tried: list[str] = []

        def sometimes(source: Path, target: Path) -> Path:
            if source.name == name and len(tried) < times:
                tried.append(source.name)
                raise OSError(code, os.strerror(code), str(source))
            return rename(source, target)

        monkeypatch.setattr(Path, "rename", sometimes)
        return tried

    return arrange


def test_a_file_that_is_mounted_by_itself_is_copied(tmp_path: Path) -> None:
    """Where the rename is refused for good, the file is copied and emptied, without waiting for it a second time."""
    log = Log(tmp_path, max_bytes=20, backup_count=100)
    log.path.touch()
    log.path.chmod(0o604)
    with mounted_by_itself(log.path):
        expected = [f"line {number}" for number in range(20)]
        for line in expected:
            log.write(line)
        log.close()
        assert log.lines() == expected
        assert log.slept == [0.1, 0.2, 0.4]
        assert (tmp_path / "app.log.1").stat().st_mode & 0o777 == 0o604
        assert not list(tmp_path.glob(".*"))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """A live file that is reached by a symbolic link is copied, and what the link leads to emptied."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "app.log").symlink_to(tmp_path / "volume" / "real.log")
    log = Log(tmp_path, max_bytes=20, backup_count=100)
    for number in range(9):
        log.write(f"line {number}")
    log.close()
    assert log.path.is_symlink()
    assert log.lines() == [f"line {number}" for number in range(9)]


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EBUSY, errno.ETXTBSY])
def test_what_may_pass_is_tried_again(
    tmp_path: Path, fail_renames: Callable[[str, int, int], list[str]], code: int
) -> None:
    """A transient error costs up to three further tries, each after twice the time."""
    tried = fail_renames("app.log", code, 3)
    log = Log(tmp_path, max_bytes=100, backup_count=3)
    log.write("line")
    assert log.rotate()
    log.close()
    assert (len(tried), log.slept) == (3, [0.1, 0.2, 0.4])
    assert log.lines() == ["line"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.ENOENT, errno.EIO])
def test_what_is_permanent_is_not(
    tmp_path: Path, fail_renames: Callable[[str, int, int], list[str]], code: int
) -> None:
    """A permanent error is given up at once, with an alert that is gone after the next success."""
    tried = fail_renames("app.log", code, 1)
    log = Log(tmp_path, max_bytes=12, backup_count=3)
    log.write("line 1")
    log.write("line 2")
    assert (len(tried), log.slept) == (1, [])
    assert log.path.read_text() == "line 1\nline 2\n"
    alert = (tmp_path / ALERT).read_text()
    for part in ("time: 2026-11-21T12:00:00+00:00", "operation: rename to", os.strerror(code), "What to do: "):
        assert part in alert
    assert any("cannot be rotated" in text for text in log.heard.said)
    log.write("line 3", NOON + 59)
    assert log.rotation.failure_count == 1
    log.write("line 4", NOON + 60)
    log.close()
    assert log.rotation.rotation_count == 1
    assert log.lines() == ["line 1", "line 2", "line 3", "line 4"]
    assert not (tmp_path / ALERT).exists()


def test_retries_that_are_exhausted_leave_an_alert(
    tmp_path: Path, fail_renames: Callable[[str, int, int], list[str]]
) -> None:
    """An older file that stays busy is not overwritten; the alert goes where it was asked for."""
    log = Log(tmp_path, max_bytes=100, backup_count=3, alert_path=str(tmp_path / "alert.txt"), retry_attempts=1)
    log.write("old")
    log.rotate()
    tried = fail_renames("app.log.1", errno.EBUSY, 2)
    log.write("new")
    assert not log.rotate()
    log.close()
    assert (len(tried), log.slept) == (2, [0.1])
    assert "operation: rename older files" in (tmp_path / "alert.txt").read_text()
    assert log.lines() == ["old", "new"]


def test_a_rotator_that_raises_stops_nothing(tmp_path: Path) -> None:
    """A hook's mistake is reported like any other failure."""

    def broken(_source: str, _target: str) -> None:
        raise ZeroDivisionError("the hook's")

    log = Log(tmp_path, max_bytes=100, backup_count=3, rotator=broken)
    log.write("line")
    assert not log.rotate()
    log.write("more")
    log.close()
    assert log.lines() == ["line", "more"]
    assert "the hook's" in (tmp_path / ALERT).read_text()


def test_a_copy_that_has_no_room_within_the_total_is_not_made(tmp_path: Path) -> None:
    """A copy takes room for a while; where the total leaves none, the file stays as it is."""
    (tmp_path / "real.log").touch()
    (tmp_path / "app.log").symlink_to(tmp_path / "real.log")
    log = Log(tmp_path, max_bytes=100, backup_count=3, max_total_bytes=110)
    log.write("x" * 60)
    assert not log.rotate()
    log.close()
    assert log.lines() == ["x" * 60]


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EIO])
def test_a_copy_that_cannot_get_its_name_is_kept(
    tmp_path: Path, fail_renames: Callable[[str, int, int], list[str]], code: int
) -> None:
    """Once the live file is empty, its copy is all there is: no try overwrites it, and the next one names it."""
    (tmp_path / "app.log").symlink_to(tmp_path / "real.log")
    log = Log(tmp_path, max_bytes=100, backup_count=9)
    log.write("line 1")
    tried = fail_renames(".app.log.copied.tmp", code, 1)
    assert log.rotate() == (code == errno.EBUSY)
    log.write("line 2")
    assert log.rotate()
    log.close()
    assert len(tried) == 1
    assert log.lines() == ["line 1", "line 2"]


def copy_in(folder: Path) -> None:
    """Rotate by copying, after finishing what a former run left."""
    names = FileNames(folder / "app.log", "index")
    copying.finish(names, lambda: folder / "app.log.9")
    copying.copy_and_truncate(names, folder / "app.log.1")


def test_a_crash_during_a_copy_neither_loses_nor_doubles_a_line(tmp_path: Path) -> None:
    """Wherever copy and truncation are interrupted, the next start has every line in exactly one file."""
    text = "".join(f"line {number}\n" for number in range(1000))
    (tmp_path / "app.log").write_text(text)
    for _ in crashes(lambda: copy_in(tmp_path)):
        log = Log(tmp_path, backup_count=9)
        log.close()
        assert "".join(line + "\n" for line in log.lines()) == text
        assert not list(tmp_path.glob(".*"))
        for path in tmp_path.iterdir():
            path.unlink()
        (tmp_path / "app.log").write_text(text)


@pytest.mark.parametrize("naming", ["index", "timestamp"])
def test_a_crash_during_a_rotation_neither_loses_nor_doubles_a_line(tmp_path: Path, naming: str) -> None:
    """Wherever a rotation is interrupted, the next start has every line in exactly one file, in order."""

    def prepare() -> list[str]:
        for path in tmp_path.iterdir():
            path.unlink()
        log = Log(tmp_path, max_bytes=8, backup_count=4, naming=naming)
        lines = [f"line {number}" for number in range(4)]
        for line in lines:
            log.write(line)
        log.close()
        return lines

    lines = prepare()
    for _ in crashes(lambda: Log(tmp_path, max_bytes=8, backup_count=4, naming=naming).rotate()):
        log = Log(tmp_path, max_bytes=8, backup_count=4, naming=naming)
        assert log.lines() == lines
        log.write("line 4")
        assert log.lines() == [*lines, "line 4"]
        log.close()
        prepare()


def test_a_total_that_follows_turns_no_line_away(tmp_path: Path) -> None:
    """Where rotation fails for good, each line goes into the file that grows, unless a total was given."""

    def broken(_source: str, _target: str) -> None:
        raise ZeroDivisionError("the hook's")

    log = Log(tmp_path, max_bytes=100, backup_count=1, rotator=broken)
    assert all(log.write(f"line {number:03}") for number in range(100))
    log.close()
    assert log.lines() == [f"line {number:03}" for number in range(100)]
    bounded = Log(tmp_path, max_bytes=100, backup_count=1, max_total_bytes=900, rotator=broken)
    assert not bounded.write("one more")
    bounded.close()
