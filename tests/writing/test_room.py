"""Where room gets scarce, the lowest levels go first, and what matters keeps a reserve."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from eventually import eventually

from dblog import DatabaseLogHandler
from dblog.writing.linequeue import LineQueue, floor_at

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]


@pytest.mark.parametrize(
    ("fullness", "floor"),
    [(0.0, 0), (0.79, 0), (0.8, logging.INFO), (0.9, logging.WARNING), (0.97, logging.ERROR), (2.0, logging.ERROR)],
)
def test_the_floor_rises_with_the_fullness(fullness: float, floor: int) -> None:
    """DEBUG goes from four fifths on, then INFO, then WARNING; ERROR stays."""
    assert floor_at(fullness) == floor


def test_a_queue_that_sheds_has_a_floor_before_it_is_full() -> None:
    """Only a queue that may drop looks at its own fullness, and the floor sinks again with it."""
    keeping, shedding = LineQueue(1000), LineQueue(1000, sheds=True)
    for queue in (keeping, shedding):
        queue.publish(900)
    assert (keeping.strained, keeping.floor) == (False, 0)
    assert (shedding.strained, shedding.floor) == (True, logging.WARNING)
    shedding.publish(-500)
    assert (shedding.strained, shedding.floor) == (False, 0)


def test_what_lies_behind_a_queue_restricts_it() -> None:
    """A spool that fills has the lowest levels kept out of the queue, until it says otherwise."""
    queue = LineQueue(1000)
    queue.restrict(logging.INFO)
    assert (queue.strained, queue.floor, queue.is_full) == (True, logging.INFO, False)
    queue.restrict(0)
    assert (queue.strained, queue.floor) == (False, 0)


def test_a_spool_that_fills_keeps_room_for_errors(
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With the database away and the spool nearly full, DEBUG and INFO are dropped and errors still find room in it."""
    handler = make_handler(
        "host=127.0.0.1 port=1",
        spool_dir=tmp_path,
        spool_max_bytes=512 * 1024,
        spool_min_free=0,
        batch_bytes=8 * 1024,
        flush_interval=0.001,
    )
    logger = attach(handler)
    handler._writer.delivery.pacing.failures = 10  # as after a long outage: batches go to the spool at once

    def fill() -> bool:
        for _ in range(5):
            logger.debug("x" * 1000)
            logger.info("x" * 1000)
        handler.flush()
        return bool(handler.stats().dropped[logging.INFO])

    eventually(fill, "records of level INFO to be dropped")
    logger.error("matters")
    eventually(lambda: handler.stats().spooled[logging.ERROR], "the error to be in the spool")
    handler.close(0.2)
    stats = handler.stats()
    assert_conserved(handler)
    assert logging.ERROR not in stats.dropped
    assert stats.printed == {}
    assert stats.dropped[logging.DEBUG] >= stats.dropped[logging.INFO]
    assert "room gets scarce" in capfd.readouterr().err
