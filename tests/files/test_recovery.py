"""The way back: a thread that looks from time to time, and ends when the file can be written again."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disks import fill, small_disk
from eventually import eventually
from recovering import Bench, running

from dblog.files.fulldisk import recovery as module

FULL, LASTING, PASSING = (OSError(number, "x") for number in (errno.ENOSPC, errno.EACCES, errno.EMFILE))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes benches, by default on a file in a folder of the test's own."""
    made: list[Bench] = []

    def make(path: Path | None = None, **arguments: float) -> Bench:
        made.append(Bench(path or tmp_path / "app.log", **arguments))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.recovery.close(30.0)


def test_a_full_disk(tmp_path: Path, bench: Callable[..., Bench], capfd: pytest.CaptureFixture[str]) -> None:
    """Room is made once, the file stays degraded while the disk is full, and is back after it was freed."""
    with small_disk(tmp_path / "disk", 4) as folder:
        ballast = fill(folder)
        it = bench(folder / "app.log", min_free=100 * 1024 * 1024)
        it.recovery.failed(FULL)
        eventually(lambda: it.state.recovery_attempts > 3, "a few looks")
        assert it.recovery.diverts()
        assert it.rooms == [FULL]
        ballast.unlink()
        it.recovers()
        assert [path.name for path in folder.iterdir()] == ["app.log"]
    assert [(change.state, change.free_bytes) for change in it.told] == [("degraded", 0), ("normal", 4 * 1024 * 1024)]
    assert it.told[1].downtime_seconds > 0
    began, ended = capfd.readouterr().err.splitlines()
    assert f"{it.path} cannot be written since 2" in began
    assert "No space left on device (error 1); records go to stderr" in began
    assert f"{it.path} is written again after " in ended
    assert ended.endswith("s, 4.0 MiB are free")


def test_a_disk_with_too_little_room(tmp_path: Path, bench: Callable[..., Bench]) -> None:
    """A full disk on which less than the reserve was freed is not written again."""
    with small_disk(tmp_path / "disk", 4) as folder:
        ballast = fill(folder)
        os.truncate(ballast, ballast.stat().st_size - 100 * 1024)  # a twentieth of the disk is 205 KiB
        it = bench(folder / "app.log", min_free=100 * 1024 * 1024)
        it.recovery.failed(FULL)
        eventually(lambda: it.state.recovery_attempts > 3, "a few looks")
        assert (it.state.is_degraded, it.state.error_count) == (True, 1)
        ballast.unlink()
        it.recovers()


def test_another_error_needs_no_room(tmp_path: Path, bench: Callable[..., Bench]) -> None:
    """After an error that was not about room, a disk with little of it is no reason to wait, and none is made."""
    with small_disk(tmp_path / "disk", 4) as folder:
        ballast = fill(folder)
        os.truncate(ballast, ballast.stat().st_size - 100 * 1024)
        it = bench(folder / "app.log", min_free=100 * 1024 * 1024)
        it.recovery.failed(PASSING)
        it.recovers()
        assert it.rooms == []


def test_the_test_write_decides(tmp_path: Path, bench: Callable[..., Bench]) -> None:
    """Where the file can be opened and the disk takes nothing, the file stays degraded and the failure is counted."""
    with small_disk(tmp_path / "disk", 4) as folder:
        live = folder / "app.log"
        live.touch()
        ballast = fill(folder)
        it = bench(live)  # without a reserve: only the test write shows that the disk is full
        it.recovery.failed(FULL)
        eventually(lambda: it.state.error_count > 3, "a few test writes")
        assert it.state.is_degraded
        assert sorted(path.name for path in folder.iterdir()) == ["app.log", "ballast"]
        ballast.unlink()
        it.recovers()


def test_errors_that_pass(bench: Callable[..., Bench]) -> None:
    """An error that may pass is tried again after 0.1 s, not only when the timer goes off."""
    it = bench(interval=3600.0)
    it.recovery.failed(PASSING)
    it.recovers()
    assert 0 < it.waits[0] <= 0.1


def test_errors_that_last(bench: Callable[..., Bench]) -> None:
    """Where somebody has to act, the file is tried when the timer goes off, and each failure is counted."""
    it = bench()
    it.trouble = LASTING
    it.recovery.failed(LASTING)
    eventually(lambda: it.state.recovery_attempts > 3, "a few tries")
    assert it.state.error_count >= 4
    it.trouble = None
    it.recovers()


def test_a_mistake_on_the_way(bench: Callable[..., Bench], capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever goes wrong while room is made or the file is tried is announced, and the thread goes on."""
    it = bench()
    it.recovery._make_room = lambda error: 1 / 0
    it.recovery.failed(FULL)
    it.recovers()
    assert "unexpected ZeroDivisionError while looking after" in capfd.readouterr().err


def test_the_end_does_not_wait_for_the_timer(bench: Callable[..., Bench]) -> None:
    """Closing ends the thread in the middle of its pause; then whoever logs tries, once an interval."""
    it = bench(interval=3600.0)
    it.recovery.failed(LASTING)
    assert running()
    it.recovery.close(30.0)
    assert not running()
    assert it.recovery.diverts()
    it.state.try_now()
    assert not it.recovery.diverts()
    it.recovery.trying()
    it.recovery.failed(LASTING)
    assert it.recovery.diverts()
    it.recovery.wrote()
    assert it.state.recovery_attempts == 1
    assert not it.state.is_degraded
    assert [change.state for change in it.told] == ["degraded", "normal"]


def test_no_thread_can_be_started(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no thread left, whoever logs after the interval tries the file, and that is the way back."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    it = bench(interval=3600.0)
    it.recovery.failed(LASTING)
    assert it.recovery.diverts()
    it.state.try_now()
    assert not it.recovery.diverts()


def test_a_forked_child(bench: Callable[..., Bench]) -> None:
    """A child has no thread; its first line tries the file, and a failure starts a thread of its own."""
    it = bench(interval=3600.0)
    it.recovery.failed(LASTING)
    it.recovery.close(30.0)
    it.recovery.restart_after_fork()
    assert not it.recovery.diverts()


def test_again_and_again(bench: Callable[..., Bench]) -> None:
    """Each time that the file fails anew there is a thread anew; room is made again once lines were written."""
    it = bench()
    for expected in (1, 2, 3):
        it.recovery.failed(FULL)
        it.recovers()
        it.recovery.wrote()
        assert len(it.rooms) == expected
    for _ in range(2):
        it.recovery.failed(FULL)
        it.recovers()
    assert len(it.rooms) == 4
    assert [change.state for change in it.told] == ["degraded", "normal"] * 5


def test_the_last_word_is_true(bench: Callable[..., Bench], capfd: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be written anew right after it was announced to be written again is announced at once."""
    it = bench()
    it.recovery.failed(PASSING)
    it.recovers()
    it.trouble = LASTING
    it.recovery.failed(LASTING)
    said = [" is written again " in line for line in capfd.readouterr().err.splitlines()]
    assert said == [False, True, False]


def test_a_file_that_comes_and_goes(bench: Callable[..., Bench], capfd: pytest.CaptureFixture[str]) -> None:
    """Five pairs are announced within a minute, and what is withheld then is said when the handler is closed."""
    it = bench()
    for _ in range(8):
        it.recovery.failed(PASSING)
        it.recovers()
        it.recovery.wrote()
    said = [" is written again " in line for line in capfd.readouterr().err.splitlines()]
    assert said == [False, True] * 5
    it.trouble = LASTING
    it.recovery.failed(LASTING)
    it.recovery.close(30.0)
    (line,) = capfd.readouterr().err.splitlines()
    assert " cannot be written since " in line
    assert line.endswith("until it can (3 more times in between)")


def test_a_folder_of_others(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where only the log file may be written and no other be made, the next line is the test."""

    def open_nothing_new(path: str | Path, flags: int, mode: int = 0o777) -> int:
        raise PermissionError(errno.EACCES, "x", str(path))

    (it := bench()).path.touch()
    monkeypatch.setattr(module.os, "open", open_nothing_new)  # type: ignore[attr-defined] # root may do anything
    it.recovery.failed(FULL)
    eventually(lambda: not it.recovery.diverts(), "the end of the thread")
    assert [change.state for change in it.told] == ["degraded"]
    it.recovery.wrote()
    assert [path.name for path in tmp_path.iterdir()] == ["app.log"]
    assert [change.state for change in it.told] == ["degraded", "normal"]
