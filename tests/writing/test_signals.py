"""Signal handlers that log, at any moment and however full the queue is: every record is somewhere and counted."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from eventually import PATIENCE

from dblog import DatabaseLogHandler

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]


@pytest.fixture
def interrupted() -> Iterator[Callable[[Callable[[], object]], None]]:
    """A function that has a handler called 2,000 times a second from now on."""
    before = signal.getsignal(signal.SIGALRM)

    def begin(act: Callable[[], object]) -> None:
        signal.signal(signal.SIGALRM, lambda *_: act())
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)

    yield begin
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("overflow", ["spool", "drop"])
@pytest.mark.parametrize("count", [100_000, pytest.param(2_000_000, marks=pytest.mark.torture)])
def test_a_signal_handler_that_logs_is_never_forgotten(
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    interrupted: Callable[[Callable[[], object]], None],
    capfd: pytest.CaptureFixture[str],
    overflow: str,
    count: int,
) -> None:
    """With a queue that is always full, records of the program and of its signal handler add up to the last one."""
    handler = make_handler("host=127.0.0.1 port=1", queue_max_bytes=64 * 1024, overflow=overflow, console_level=0)
    logger = attach(handler)
    interrupted(lambda: logger.info("from the signal handler"))
    for number in range(count):
        logger.info("%d", number)
    signal.setitimer(signal.ITIMER_REAL, 0)
    handler.close(1.0)
    assert_conserved(handler)
    stats = handler.stats()
    assert stats.emitted[logging.INFO] > count
    assert stats.queue_bytes < 64 * 1024
    capfd.readouterr()


def test_figures_may_be_asked_for_at_any_time(
    make_handler: MakeHandler, attach: Attach, interrupted: Callable[[Callable[[], object]], None]
) -> None:
    """A thread that polls the figures and a signal handler that logs keep nobody waiting for ever."""
    handler = make_handler("host=127.0.0.1 port=1", queue_max_bytes=64 * 1024, overflow="drop", console_level=0)
    logger = attach(handler)
    done = threading.Event()

    def poll() -> None:
        while not done.is_set():
            handler.stats()

    polling = threading.Thread(target=poll)
    polling.start()
    interrupted(lambda: logger.info("from the signal handler"))
    for number in range(20_000):
        logger.info("%d", number)
    signal.setitimer(signal.ITIMER_REAL, 0)
    done.set()
    polling.join(PATIENCE)
    assert not polling.is_alive()
