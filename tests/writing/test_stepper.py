"""The worker's thread: one that dies is replaced, one that is stuck keeps nobody from closing."""

import ctypes
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from delivered import log, messages
from eventually import PATIENCE, eventually
from servers import Database

from dblog import DatabaseLogHandler
from dblog.batch import Batch
from dblog.processes import WORKER_THREAD

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]


def worker_threads() -> list[threading.Thread]:
    """The threads of all workers that live."""
    return [thread for thread in threading.enumerate() if thread.name == WORKER_THREAD]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the death is the point
def test_a_worker_that_dies_is_replaced(
    database: Database,
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """An exception that ends the worker's thread from outside costs no record: another thread goes on."""
    handler = make_handler(database.dsn, flush_interval=0.01)
    logger = attach(handler)
    expected = log(logger, 0, 10)
    assert handler.flush(30)
    eventually(lambda: handler._writer.worker.stepper.asleep, "a worker that has nothing to do")
    (victim,) = worker_threads()
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(victim.ident or 0), ctypes.py_object(SystemExit))
    expected += log(logger, 10, 11)  # wakes it, so that it meets its end
    victim.join(PATIENCE)
    expected += log(logger, 11, 20)
    assert handler.flush(30)
    assert worker_threads() != [victim]
    handler.close()
    assert messages(database.dsn) == expected
    assert_conserved(handler)
    assert "died and is replaced" in capfd.readouterr().err


def test_a_disk_that_hangs_keeps_nobody_from_closing(
    make_handler: MakeHandler,
    attach: Attach,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the database away and the spool's disk stuck (simulated), close() comes back and prints what it can."""
    handler = make_handler("host=127.0.0.1 port=1", spool_dir=tmp_path, flush_interval=0.01)
    logger = attach(handler)
    entered, answered = threading.Event(), threading.Event()
    spool = handler._writer.delivery.spool
    assert spool is not None
    append = spool._spool.append

    def hang(batch: Batch) -> None:
        entered.set()
        answered.wait()
        append(batch)

    spool._spool.append = hang  # type: ignore[method-assign]
    handler._writer.delivery.pacing.failures = 10  # as after a long outage: batches go to the spool at once
    logger.info("held by the disk")
    assert entered.wait(PATIENCE)
    logger.info("still in the queue")
    monkeypatch.setattr("dblog.writing.worker._PATIENCE", 0.1)
    handler.close(0.1)
    assert handler.closed
    said = capfd.readouterr().err
    assert "still in the queue" in said
    answered.set()
    eventually(lambda: not worker_threads(), "the worker's end")
    assert handler.stats().spooled == {logging.INFO: 1}


def test_a_disk_that_is_slow_is_waited_for(
    make_handler: MakeHandler, attach: Attach, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the database away and the spool's disk slow (simulated), close() takes its time, and all is spooled."""
    handler = make_handler("host=127.0.0.1 port=1", spool_dir=tmp_path, flush_interval=0.01)
    logger = attach(handler)
    entered, never = threading.Event(), threading.Event()
    spool = handler._writer.delivery.spool
    assert spool is not None
    append = spool._spool.append

    def crawl(batch: Batch) -> None:
        entered.set()
        never.wait(1.0)
        append(batch)

    spool._spool.append = crawl  # type: ignore[method-assign]
    handler._writer.delivery.pacing.failures = 10  # as after a long outage: batches go to the spool at once
    logger.info("held by the disk")
    assert entered.wait(PATIENCE)
    logger.info("still in the queue")
    handler.close(0.1)
    assert handler.stats().spooled == {logging.INFO: 2}
    assert "not stored" not in capfd.readouterr().err


def test_no_thread_to_be_had_costs_no_record(
    database: Database, make_handler: MakeHandler, attach: Attach, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where the system starts no more threads (simulated), records wait, and close() itself delivers them."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    handler = make_handler(database.dsn, flush_interval=0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        expected = log(attach(handler), 0, 10)
        assert worker_threads() == []
        handler.close()
    assert messages(database.dsn) == expected
    assert "no thread can be started" in capfd.readouterr().err
