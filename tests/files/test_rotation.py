"""Rotation: when it is due, what it leaves, and what it deletes."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
from rotating import NOON, Log

DAY = 86_400.0


class NewLog(Protocol):
    """Makes a log in the folder of the test."""

    def __call__(self, **settings: Any) -> Log:
        """Make it with these settings."""
        ...


@pytest.fixture
def new_log(tmp_path: Path) -> Iterator[NewLog]:
    """Logs that are closed at the end."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Log:
            log = Log(tmp_path, **settings)
            stack.callback(log.close)
            return log

        yield make


@pytest.mark.parametrize("naming", ["index", "timestamp", "date"])
def test_every_line_is_there_once_and_in_order(new_log: NewLog, naming: str) -> None:
    """However small the files are, each line is in one of them, and the files are in order."""
    log = new_log(max_bytes=20, backup_count=1000, naming=naming)
    expected = [f"line {number}" for number in range(300)]
    assert all(log.write(line) for line in expected)
    assert log.lines() == expected
    assert all((log.folder / name).stat().st_size < 20 for name in log.names())
    assert log.rotation.rotation_count == len(log.names()) == 149


@pytest.mark.parametrize("naming", ["index", "timestamp"])
def test_a_restart_goes_on_where_the_last_one_ended(new_log: NewLog, naming: str) -> None:
    """A new process knows what former ones have rotated."""
    log = new_log(max_bytes=12, backup_count=100, naming=naming)
    for run in range(5):
        log = new_log(max_bytes=12, backup_count=100, naming=naming, now=NOON - run)
        assert all(log.write(f"{run} {number}", NOON - run) for number in range(9))
    assert log.lines() == [f"{run} {number}" for run in range(5) for number in range(9)]


def test_only_so_many_files_are_kept(new_log: NewLog) -> None:
    """The oldest files go when there are more than asked for, of a former naming, too."""
    log = new_log(max_bytes=10, backup_count=3, naming="timestamp")
    (log.folder / "app.log.7.gz").write_text("older")
    log.rotation.start(NOON)
    for number in range(20):
        log.write(f"line {number:02}")
    assert log.lines() == [f"line {number:02}" for number in range(16, 20)]
    assert not (log.folder / "app.log.7.gz").exists()
    assert log.rotation.keeper.removed_files == 17
    assert log.rotation.keeper.removed_bytes == 16 * 8 + 5


def test_old_files_go(new_log: NewLog) -> None:
    """Files that are older than `retention_days` go at a rotation, and anywhere when asked to clean."""
    log = new_log(retention_days=2, when="DAILY", naming="date")
    for day, age in (("2026-11-18", 3), ("2026-11-19", 1), ("2026-11-20", 2.5)):
        path = log.folder / f"app.log.{day}"
        path.write_text(day)
        os.utime(path, (NOON - age * DAY,) * 2)
    log.rotation.start(NOON)
    log.write("line")
    log.rotate()
    assert log.names() == ["app.log.2026-11-19", "app.log.2026-11-20", "app.log.2026-11-21"]
    assert [backup.name for backup in log.rotation.clean(NOON)] == ["app.log.2026-11-20"]


def test_all_files_together_never_exceed_their_total(new_log: NewLog) -> None:
    """Before each line the oldest files make room for it; a line that is larger than everything finds none."""
    log = new_log(max_bytes=50, backup_count=100, max_total_bytes=100)
    for number in range(200):
        assert log.write("x" * (number % 40))
        assert sum(path.stat().st_size for path in log.folder.iterdir()) <= 100
    before = log.lines()
    assert not log.write("y" * 100)
    assert [line for line in before if line not in log.lines()] == []
    assert sum("of 100 bytes" in text for text in log.heard.said) >= 1


def test_a_total_alone_is_kept_by_rotation(new_log: NewLog) -> None:
    """With nothing but a total, old lines give way to new ones."""
    log = new_log(max_total_bytes=100)
    assert all(log.write(f"line {number:03}") for number in range(100))
    kept = log.lines()
    assert kept == [f"line {number:03}" for number in range(100 - len(kept), 100)]
    assert len(kept) >= 5


def test_lines_longer_than_a_file_keep_their_files(new_log: NewLog) -> None:
    """Where each line is larger than `max_bytes`, there are still as many files as asked for."""
    log = new_log(max_bytes=1, backup_count=2)
    assert all(log.write(f"line {number}") for number in range(5))
    assert log.lines() == ["line 2", "line 3", "line 4"]


def test_missed_days_are_one_rotation(new_log: NewLog) -> None:
    """After days of sleep the file is rotated once, and named for the day that it was begun."""
    log = new_log(when="DAILY", naming="date")
    log.write("first")
    log.write("second", NOON + 5 * DAY)
    log.write("third", NOON + 5 * DAY + 1)
    assert log.lines() == ["first", "second", "third"]
    assert log.names() == ["app.log.2026-11-21"]
    assert log.rotation.due_at == NOON + 5 * DAY + DAY / 2


def test_an_empty_file_is_not_rotated_by_the_clock(new_log: NewLog) -> None:
    """A day without a line leaves no file."""
    log = new_log(when="DAILY")
    log.live.open()
    assert not log.rotation.due(0, 10, NOON + DAY)
    assert log.rotation.due_at == NOON + 1.5 * DAY


def test_size_and_clock_combine(new_log: NewLog) -> None:
    """With both, whichever comes first rotates, and a rotation by size does not put off the clock."""
    log = new_log(when="HOURLY", max_bytes=20, backup_count=10)
    due = log.rotation.due_at
    for number in range(3):
        log.write(f"line {number}")
    assert log.rotation.rotation_count == 1
    assert log.rotation.due_at == due
    log.write("later", due)
    assert log.rotation.rotation_count == 2


def test_a_clock_that_is_set_back_puts_nothing_off(new_log: NewLog) -> None:
    """A clock that was ahead by years does not keep the file from being rotated within its period."""
    log = new_log(when="H", now=NOON + 1000 * DAY)
    log.write("one", NOON + 1000 * DAY)
    log.write("two", NOON)
    assert log.rotation.due_at == NOON + 3600
    log.write("three", NOON + 3600)
    assert log.rotation.rotation_count == 1
    assert log.lines() == ["one", "two", "three"]


def test_a_file_that_another_has_rotated_is_left_alone(new_log: NewLog) -> None:
    """Where the path leads to another file by now, that one is not rotated."""
    log = new_log(max_bytes=100, backup_count=3)
    log.write("mine")
    log.path.rename(log.folder / "app.log.moved")
    log.path.write_text("theirs\n")
    assert not log.rotation.rotate(log.live, NOON)
    assert log.path.read_text() == "theirs\n"
    assert log.names() == []


def test_surplus_only_looks(new_log: NewLog) -> None:
    """Asking for what is too much names the oldest files, and changes neither a file nor the time of the next one."""
    log = new_log(backup_count=2, when="H")
    for number in range(1, 5):
        (log.folder / f"app.log.{number}").write_text("x")
    unfinished = log.rotation.backups.names.unfinished("1.gz")
    unfinished.write_text("half")
    due = log.rotation.due_at
    assert [path.name for path in log.rotation.surplus(NOON + 1800)] == ["app.log.4", "app.log.3"]
    assert unfinished.exists()
    assert log.rotation.due_at == due


def test_a_device_is_not_rotated(new_log: NewLog) -> None:
    """What is no regular file stays where it is."""
    log = new_log(max_bytes=1, backup_count=3)
    os.mkfifo(log.path)
    reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert not log.rotate()
        assert log.path.is_fifo()
    finally:
        os.close(reader)


def test_hooks_of_the_standard_library_are_asked(new_log: NewLog) -> None:
    """A namer gives the names and a rotator does the work, and both kinds of files are bounded as usual."""

    def rotate(source: str, target: str) -> None:
        Path(target).write_text(Path(source).read_text().upper())
        Path(source).unlink()

    log = new_log(max_bytes=10, backup_count=2, namer=lambda name: name + ".old", rotator=rotate)
    for number in range(5):
        log.write(f"line {number}")
    assert log.lines() == ["LINE 2", "LINE 3", "line 4"]
    assert sorted(path.name for path in log.folder.iterdir()) == ["app.log", "app.log.1.old", "app.log.2.old"]


def test_several_processes_see_what_the_others_have_rotated(new_log: NewLog) -> None:
    """With `multi_process` each rotation looks at the folder first."""
    logs = [new_log(max_bytes=1000, backup_count=3, multi_process=True) for _ in range(2)]
    for number in range(6):
        log = logs[number % 2]
        log.live.close()  # as a writer does that finds its file renamed
        log.write(f"line {number}")
        assert log.rotate()
    assert logs[0].lines() == ["line 3", "line 4", "line 5"]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_large_files_from_before_are_kept(new_log: NewLog, compression: str) -> None:
    """A log that was never rotated, or in larger files, keeps as many files as any: a total that follows yields."""
    (new_log().folder / "app.log").write_text("old live\n" * 1000)
    (new_log().folder / "app.log.1").write_text("older\n" * 5000)
    log = new_log(max_bytes=100, backup_count=3, compression=compression)
    assert log.write("new")
    assert not log.rotation.clean(NOON)
    assert log.lines() == ["older"] * 5000 + ["old live"] * 1000 + ["new"]
    again = new_log(max_bytes=100, backup_count=3)
    again.rotate()
    assert len(again.lines()) == 6001


def test_what_a_total_costs_is_told(new_log: NewLog) -> None:
    """Files that are deleted for a total that was given are announced and counted, with their bytes."""
    (new_log().folder / "app.log").write_text("old\n" * 1000)
    log = new_log(max_bytes=100, backup_count=3, max_total_bytes=1000)
    assert log.write("new")
    assert log.lines() == ["new"]
    assert "deleted for max_total_bytes 1,000: 1 rotated files with 4,000 bytes so far" in log.heard.said[-1]
    assert (log.rotation.keeper.removed_files, log.rotation.keeper.removed_bytes) == (1, 4000)
