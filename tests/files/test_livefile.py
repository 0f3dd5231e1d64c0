"""The file that is being written: whole lines, or none."""

import errno
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import fill, small_disk

from dblog.files.livefile import LiveFile


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveFile]:
    """An open file."""
    file = LiveFile(tmp_path / "app.log")
    file.open()
    yield file
    file.close()


def test_lines_are_appended(live: LiveFile) -> None:
    """Lines come behind those that are there, and the size is known without asking."""
    assert live.write([b"one\n", b"two\n"]) == 8
    live.write([b"three\n"])
    assert live.path.read_bytes() == b"one\ntwo\nthree\n"
    assert (live.size, live.stored) == (14, 1)


def test_directories_are_made_with_their_mode(tmp_path: Path) -> None:
    """Missing directories are made, and modes are what they were said to be, whatever the umask."""
    file = LiveFile(tmp_path / "a" / "b" / "app.log", file_mode=0o666, dir_mode=0o777)
    before = os.umask(0o077)
    try:
        file.open()
    finally:
        os.umask(before)
    file.close()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file.path, file.path.parent, file.path.parent.parent)]
    assert modes == [0o666, 0o777, 0o777]


def test_the_mode_of_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    """A file that is there keeps its permissions."""
    path = tmp_path / "app.log"
    path.touch(mode=0o600)
    file = LiveFile(path, file_mode=0o644)
    file.open()
    file.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_emptied_once(tmp_path: Path) -> None:
    """The mode `w` empties what was there before, and nothing that was written since."""
    path = tmp_path / "app.log"
    path.write_bytes(b"old\n")
    file = LiveFile(path, truncate=True)
    for _ in range(2):
        file.open()
        file.write([b"new\n"])
        file.close()
    assert path.read_bytes() == b"new\nnew\n"


def test_deletion_and_renaming_are_noticed(live: LiveFile) -> None:
    """The file that is open is no longer the current one once its path leads elsewhere."""
    assert live.is_current()
    live.path.rename(live.path.with_name("moved"))
    assert not live.is_current()
    live.path.touch()
    assert not live.is_current()


def test_a_line_that_a_crash_has_torn_is_ended(tmp_path: Path) -> None:
    """What a killed process left of a line does not run into the first new one."""
    path = tmp_path / "app.log"
    path.write_bytes(b"whole\nto")
    file = LiveFile(path)
    file.open()
    file.write([b"new\n"])
    file.close()
    assert path.read_bytes() == b"whole\nto\nnew\n"


def test_a_full_disk_keeps_whole_lines_only(tmp_path: Path) -> None:
    """On a full disk the lines that fit stay, nothing of the next one does, and they are counted."""
    with small_disk(tmp_path / "disk", 1) as disk:
        live = LiveFile(disk / "app.log")
        live.open()
        ballast = fill(disk)
        with ballast.open("rb+") as file:
            file.truncate(ballast.stat().st_size - 8192)
        lines = [b"%04d" % number + b"x" * 995 + b"\n" for number in range(100)]
        with pytest.raises(OSError, match="No space") as caught:
            live.write(lines)
        live.close()
        assert caught.value.errno == errno.ENOSPC
        assert 0 < live.stored < 100
        assert live.path.read_bytes() == b"".join(lines[: live.stored])


def test_a_short_write_is_cut_back(live: LiveFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system takes a part and refuses the rest, the part of a line is removed again."""
    calls = iter([7])
    write = os.write

    def refuse(fd: int, data: bytes) -> int:
        try:
            return write(fd, data[: next(calls)])
        except StopIteration:
            raise OSError(errno.EIO, "refused") from None

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(OSError, match="refused"):
        live.write([b"one\n", b"two\n", b"three\n"])
    assert (live.stored, live.size, live.path.read_bytes()) == (1, 4, b"one\n")


@pytest.mark.parametrize("newline", [b"\n", b"\n\0"])
def test_cutting_keeps_the_last_whole_lines(tmp_path: Path, newline: bytes) -> None:
    """A file is cut between lines, its last ones stay, and a mark at its beginning does."""
    mark = b"" if newline == b"\n" else b"\xff\xfe"
    lines = [(b"%06d" % number) * 10 + newline for number in range(10_000)]
    file = LiveFile(tmp_path / "app.log", mark=mark, newline=newline)
    file.open()
    file.write(lines)
    removed = file.cut_to(100_000)
    left = (100_000 - len(mark)) // len(lines[0]) * len(lines[0])
    assert file.path.read_bytes() == mark + b"".join(lines)[-left:]
    assert (file.size, removed) == (len(mark) + left, len(lines) * len(lines[0]) - left)
    file.write([b"next" + newline])
    file.close()
    assert file.path.read_bytes().endswith(lines[-1] + b"next" + newline)


def test_a_device_is_written_and_never_cut(tmp_path: Path) -> None:
    """`/dev/null` takes lines and is no regular file."""
    file = LiveFile(Path(os.devnull))
    file.open()
    assert file.write([b"one\n"]) == 4
    assert not file.is_regular
    file.sync()
    file.close()


def test_a_file_without_descriptors_left_is_not_half_open(tmp_path: Path) -> None:
    """Where no descriptor is left, opening fails as a whole and works later."""
    file = LiveFile(tmp_path / "app.log")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            file.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not file.is_open
    file.open()
    file.close()
