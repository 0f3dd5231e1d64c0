"""A signal handler may raise at any moment, as that of Ctrl-C does: no lock stays held."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from interruptions import interrupted

from dblog import DatabaseLogHandler
from dblog.files.turn import Turn
from dblog.locks import Lock, acquire
from dblog.selflog import Announcer
from dblog.sinks.spool import Spool
from dblog.writing.linequeue import LineQueue
from dblog.writing.safespool import SafeSpool

NOWHERE = "host=127.0.0.1 port=1"


def is_free(lock: Lock) -> bool:
    """True where another thread can have it."""

    def take() -> bool:
        taken = lock.acquire(timeout=30)
        if taken:
            lock.release()
        return taken

    with ThreadPoolExecutor(1) as other:
        return other.submit(take).result(60)


def assert_never_kept(lock: Lock, work: Callable[[], object]) -> None:
    """Interrupt the work at each of its moments; others can have the lock afterwards."""
    for moment in count():
        was_interrupted = interrupted(work, moment)
        assert is_free(lock), f"it is held after moment {moment}"
        if not was_interrupted:
            break
    assert moment > 0


@pytest.mark.parametrize("wait", [True, False])
def test_a_report_keeps_nobody_waiting(wait: bool) -> None:
    """After an interrupted report to the queue, other threads can report."""
    queue = LineQueue(1000)
    assert_never_kept(queue._lock, lambda: queue.publish(7, wait=wait))


def test_waiting_for_room_keeps_nobody_waiting() -> None:
    """After an interrupted wait for room, the worker can make some."""
    queue = LineQueue(1000)
    assert_never_kept(queue._lock, lambda: queue.wait_for_room(0.0))


def test_giving_up_keeps_nobody_waiting(make_handler: Callable[..., DatabaseLogHandler]) -> None:
    """After an interrupted close that gives up on the worker, another one can go on."""
    worker = make_handler(NOWHERE, flush_interval=600)._writer.worker
    assert_never_kept(worker._owner, lambda: worker.give_up(1.0))


def test_the_spool_keeps_nobody_waiting(tmp_path: Path) -> None:
    """After an interrupted use of the spool, other threads can use it."""
    reports: list[object] = []
    spool = SafeSpool(Spool(tmp_path, writer_id="0" * 32, target="nowhere", report=reports.append), Announcer("dblog"))
    assert_never_kept(spool._lock, spool.oldest)
    spool.close()
    assert not reports


def test_a_look_keeps_nobody_waiting() -> None:
    """Whoever looks whether the queue, or the files of a writer, are in somebody's hands does not keep them."""
    queue, turn = LineQueue(1000), Turn(lambda: None)
    assert_never_kept(queue._lock, lambda: queue.answers(0.0))
    assert_never_kept(turn.lock, turn.is_elsewhere)


def test_a_flush_keeps_nobody_waiting(make_handler: Callable[..., DatabaseLogHandler]) -> None:
    """After an interrupted `flush()`, the worker delivers on."""
    worker = make_handler(NOWHERE, flush_interval=600)._writer.worker
    worker.flush(0.0)  # starts the thread: what is interrupted in there is up to Python
    assert_never_kept(worker._owner, lambda: worker.flush(0.0))


def test_making_room_keeps_nobody_waiting(
    make_handler: Callable[..., DatabaseLogHandler], capfd: pytest.CaptureFixture[str]
) -> None:
    """After an interrupted attempt to make room in a full queue, the next one is made."""
    handler = make_handler(NOWHERE, flush_interval=600, console_level=0)
    worker, queue = handler._writer.worker, handler._writer._queue

    def relieve() -> None:
        queue.append(b"2026-11-21 10:00:00.000000+00\t20\tINFO\n")
        worker.relieve()

    assert_never_kept(worker._owner, relieve)
    assert not worker._relieving
    capfd.readouterr()


def test_a_lock_that_cannot_be_had_in_time_is_not_noted() -> None:
    """Whoever waits in vain is told so and has nothing to release."""
    lock, held = threading.Lock(), list[bool]()
    assert acquire(lock, held)
    assert not acquire(lock, held, blocking=False)
    assert not acquire(lock, held, timeout=0.0)
    assert held == [True, False, False]
