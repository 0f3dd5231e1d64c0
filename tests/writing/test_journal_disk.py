"""The journal on a disk that fails: what it took stays readable, what it did not take waits in memory."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import journals
import pytest

from dblog.sinks.recovery import recover
from dblog.writing.journalqueue import RETRY_SECONDS, JournalQueue


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("a full disk is NOT tested: mounting a tmpfs takes Linux and root")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a full disk is NOT tested: mounting a tmpfs failed: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(queue: JournalQueue, troubles: list[OSError], first: int) -> int:
    """Append lines until the journal fails; returns the number of the one that it did not take."""
    before = len(troubles)
    for number in range(first, first + 10_000):
        queue.append(journals.line(number, width=333))
        if len(troubles) > before:
            return number
    raise AssertionError("the disk never got full")


@pytest.mark.parametrize("reserves", [True, False], ids=["room is reserved", "no room can be reserved"])
def test_a_full_disk_costs_no_line(small_disk: Path, monkeypatch: pytest.MonkeyPatch, reserves: bool) -> None:
    """Lines before a full disk are in whole frames, those during it in memory, those after it in the file again."""
    if not reserves:
        monkeypatch.delattr(os, "posix_fallocate")
    now, troubles = [0.0], list[OSError]()
    journal = journals.make_journal(small_disk)
    queue = journals.make_queue(journal, batch_size=1000, trouble=troubles.append, clock=lambda: now[0])
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(600 * 1024))
    refused = fill(queue, troubles, 0)
    assert {error.errno for error in troubles} == {errno.ENOSPC}
    for number in range(refused + 1, refused + 10):
        queue.append(journals.line(number, width=333))
    before = journals.take_all(queue)
    written = journals.read(journals.files(small_disk)[0])
    if reserves:  # else the disk may be too full for the footer, and the frame is in memory only
        assert written[:2] == before[:2]
    ballast.unlink()
    now[0] += RETRY_SECONDS
    known = len(troubles)
    for number in range(refused + 10, refused + 20):
        queue.append(journals.line(number, width=333))
    after = journals.take_all(queue)
    assert len(troubles) == known
    numbers = [journals.number_of(row) for row in journals.rows(*before, *after)]
    assert numbers == list(range(refused + 20))
    journal.close()
    old, new = journals.files(small_disk)
    assert journals.batches(new) == after
    assert journals.rows(*before[-1:])[0] not in old.read_bytes() + new.read_bytes()


def test_what_is_settled_leaves_a_full_disk(small_disk: Path) -> None:
    """A full disk gets back the room of batches that somebody else owns: the spool may need it for others."""
    troubles = list[OSError]()
    journal = journals.make_journal(small_disk)
    queue = journals.make_queue(journal, batch_size=1000, trouble=troubles.append)
    fill(queue, troubles, 0)
    for batch in journals.take_all(queue):
        journal.settle(batch.key)
    journal.sync()
    assert journals.files(small_disk) == []
    queue.append(journals.line(1))
    journal.close()
    assert len(journals.take_all(queue)) == 1


def test_killed_on_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """Whoever finds the file of a process that was killed while its disk was full reads all lines that it took."""
    troubles = list[OSError]()
    journal = journals.make_journal(small_disk)
    queue = journals.make_queue(journal, batch_size=1000, trouble=troubles.append, clock=lambda: 0.0)
    refused = fill(queue, troubles, 0)
    journal.abandon()
    left = tmp_path / "00000001.journal"
    left.write_bytes(journals.files(small_disk)[0].read_bytes())
    assert recover(left, "2026-11-21")
    assert [journals.number_of(row) for row in journals.rows(*journals.batches(left))] == list(range(refused))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_a_write_that_is_cut_short_leaves_no_line_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """Where a write brings only a part to the file and fails, none of it stays, and the line is in memory."""
    troubles = list[OSError]()
    journal = journals.make_journal(tmp_path)
    queue = journals.make_queue(journal, trouble=troubles.append, clock=lambda: 0.0)
    queue.append(journals.line(1))
    write = os.pwrite

    def fail(fd: int, data: bytes, offset: int) -> int:
        if data.startswith(b"\x1e"):
            return write(fd, data, offset)
        write(fd, data, offset)
        raise kind(errno.EIO, "half of it")

    monkeypatch.setattr(os, "pwrite", fail)
    if kind is OSError:
        queue.append(journals.line(2, width=3000))
    else:
        with pytest.raises(KeyboardInterrupt):
            queue.append(journals.line(2, width=3000))
    monkeypatch.undo()
    assert b"xxx" not in journals.files(tmp_path)[0].read_bytes()
    taken = journals.take_all(queue)
    journal.close()
    assert [journals.number_of(row) for row in journals.rows(*taken)] == [1, 2]
    assert journals.batches(journals.files(tmp_path)[0]) == taken[:1]
    assert len(troubles) == (1 if kind is OSError else 0)


def test_rows_without_their_footer_leave_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the footer cannot be written the batch is in memory only: no two keys for one row."""
    troubles = list[OSError]()
    journal = journals.make_journal(tmp_path)
    queue = journals.make_queue(journal, trouble=troubles.append)
    queue.append(journals.line(1))
    write = os.pwrite

    def write_half(fd: int, data: bytes, offset: int) -> int:
        return write(fd, data[: len(data) // 2], offset)

    monkeypatch.setattr(os, "pwrite", write_half)
    first = queue.take(1, 1)
    monkeypatch.undo()
    assert first is not None
    assert [error.errno for error in troubles] == [errno.ENOSPC]
    assert journals.files(tmp_path)[0].read_bytes() == journals.HEADER.line
    queue.append(journals.line(2))
    second = queue.take(1, 1)
    journal.close()
    assert journals.batches(journals.files(tmp_path)[0]) == [second]


def _sync(queue: JournalQueue) -> None:
    with pytest.raises(OSError, match="disk is gone"):
        queue.journal.sync()


def _append(queue: JournalQueue) -> None:
    queue.append(journals.line(2))


@pytest.mark.parametrize(("fsync", "meet"), [("interval", _sync), ("always", _append)])
def test_a_file_whose_fsync_failed_takes_no_more_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: str, meet: Callable[[JournalQueue], None]
) -> None:
    """After a failed fsync nobody knows what is on the disk: a new file is begun, and no line is lost or doubled."""
    now, troubles = [0.0], list[OSError]()
    journal = journals.make_journal(tmp_path, fsync=fsync, clock=lambda: now[0])
    queue = journals.make_queue(journal, trouble=troubles.append, clock=lambda: now[0])
    queue.append(journals.line(1))

    def fail_once(_fd: int) -> None:
        monkeypatch.undo()
        raise OSError(errno.EIO, "disk is gone")

    monkeypatch.setattr(os, "fsync", fail_once)
    meet(queue)
    now[0] += RETRY_SECONDS
    queue.append(journals.line(3))
    taken = journals.take_all(queue)
    journal.close()
    numbers = [journals.number_of(row) for row in journals.rows(*taken)]
    assert numbers == ([1, 3] if fsync == "interval" else [1, 2, 3])
    found = [journals.batches(path) for path in journals.files(tmp_path)]
    assert found == [taken[:1], taken[-1:]]
    assert bool(troubles) is (fsync == "always")
