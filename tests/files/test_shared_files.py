"""Two writers and one file, without a lock between them: nobody removes what the other one wrote."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from disks import fill, small_disk

from dblog.files.livefile import LiveFile

MakeLive = Callable[..., LiveFile]


@pytest.fixture
def make_live(tmp_path: Path) -> Iterator[MakeLive]:
    """Opens the file of the test, as often as asked for."""
    with ExitStack() as stack:

        def make(path: Path = tmp_path / "app.log", **arguments: bytes) -> LiveFile:
            live = LiveFile(path, **arguments)  # type: ignore[arg-type]
            live.open()
            stack.enter_context(closing(live))
            return live

        yield make


def refuse_after(monkeypatch: pytest.MonkeyPatch, size: int, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Have the system take so many bytes of the next write, do something, and have it refuse the rest."""
    write, calls = os.write, iter([True])

    def refuse(fd: int, data: bytes) -> int:
        if next(calls, False):
            return write(fd, data[:size])
        monkeypatch.setattr(os, "write", write)
        meanwhile()
        raise OSError(errno.ENOSPC, "refused")

    monkeypatch.setattr(os, "write", refuse)


def test_a_full_disk_takes_nothing_from_others(tmp_path: Path, make_live: MakeLive) -> None:
    """A block that a full disk takes in part is cut back to its own last whole line, however the file has grown."""
    with small_disk(tmp_path / "disk", 1) as disk:
        one, other = make_live(disk / "app.log"), make_live(disk / "app.log")
        one.write([b"first\n"])
        theirs = [b"other %04d\n" % number for number in range(1000)]
        other.write(theirs)
        ballast = fill(disk)
        os.truncate(ballast, ballast.stat().st_size - 8192)
        lines = [b"%04d" % number + b"x" * 995 + b"\n" for number in range(100)]
        with pytest.raises(OSError, match="No space"):
            one.write(lines)
        assert 0 < one.stored < 100
        assert one.path.read_bytes() == b"".join([b"first\n", *theirs, *lines[: one.stored]])
        assert one.added == sum(map(len, lines[: one.stored]))
        one.close()
        other.close()


def test_an_emptied_file(make_live: MakeLive, monkeypatch: pytest.MonkeyPatch) -> None:
    """After somebody has copied the file and emptied it, a write that is cut short counts the lines that are in it."""
    live = make_live()
    live.write([b"old\n"] * 100)
    os.truncate(live.path, 0)
    refuse_after(monkeypatch, 6)
    with pytest.raises(OSError, match="refused"):
        live.write([b"one\n", b"two\n", b"three\n"])
    assert (live.stored, live.added, live.size, live.path.read_bytes()) == (1, 4, 4, b"one\n")


def test_a_write_between_the_parts_of_a_line(make_live: MakeLive, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody wrote after the part of a line stays, and so does the part: the next line begins a new one."""
    live = make_live()
    other = os.open(live.path, os.O_WRONLY | os.O_APPEND)
    refuse_after(monkeypatch, 6, lambda: os.write(other, b"other\noth"))
    with pytest.raises(OSError, match="refused"):
        live.write([b"one\n", b"two\n"])
    os.close(other)
    assert (live.stored, live.added) == (1, 6)
    live.write([b"two\n"])
    assert live.path.read_bytes() == b"one\ntwother\noth\ntwo\n"


def test_a_descriptor_that_others_have(make_live: MakeLive, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program wrote that has inherited the descriptor is not taken for the part of a line of ours."""
    live = make_live()
    refuse_after(monkeypatch, 6, lambda: os.write(live.fd, b"child\n"))
    with pytest.raises(OSError, match="refused"):
        live.write([b"one\n", b"two\n"])
    live.write([b"two\n"])
    assert live.path.read_bytes() == b"one\ntwchild\ntwo\n"


def test_a_line_that_is_being_written(make_live: MakeLive) -> None:
    """Half of a line that somebody else is writing while the file is opened, and has written since, is not torn."""
    other = os.open(make_live().path, os.O_WRONLY | os.O_APPEND)
    os.write(other, b"half of a li")
    live = make_live()
    os.write(other, b"ne\n")
    os.close(other)
    live.write([b"mine\n"])
    assert live.path.read_bytes() == b"half of a line\nmine\n"


@pytest.mark.parametrize(("content", "lead"), [(b"", b"\xff\xfe"), (b"\xff\xfe", b""), (b"\xff\xfea\0", b"\n\0")])
def test_what_comes_before_a_line_is_known(make_live: MakeLive, content: bytes, lead: bytes) -> None:
    """The mark of an empty file, or the end of a line that was left torn, can be asked for before it is written."""
    path = make_live().path
    path.write_bytes(content)
    live = make_live(mark=b"\xff\xfe", newline=b"\n\0")
    assert live.lead() == lead
    assert live.write([b"x\0\n\0"]) == len(lead) + 4
    assert (live.lead(), path.read_bytes()) == (b"", content + lead + b"x\0\n\0")
