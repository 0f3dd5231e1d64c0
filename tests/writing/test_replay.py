"""What waits in the spool and what is logged meanwhile: neither keeps the other waiting."""

import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from delivered import log, messages
from eventually import eventually
from psycopg import sql
from servers import Database

from dblog import DatabaseLogHandler

MakeHandler = Callable[..., DatabaseLogHandler]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]
Return = Callable[[], None]

FRAMES = 200


@pytest.fixture
def spooling(
    database: Database, make_handler: MakeHandler, attach: Attach, tmp_path: Path
) -> tuple[DatabaseLogHandler, logging.Logger, Return]:
    """A handler with many frames in its spool, its logger, and a function that brings its database back."""
    handler = make_handler(database.dsn, spool_dir=tmp_path, flush_interval=0.001, queue_max_bytes="2GiB")
    delivery = handler._writer.delivery
    delivery.database.conninfo = "host=127.0.0.1 port=1"  # as if the server were away
    delivery.pacing.failures = 10  # for long: batches go to the spool at once
    logger = attach(handler)
    for number in range(FRAMES):
        log(logger, number, number + 1)
        assert handler.flush(30)

    def come_back() -> None:
        delivery.database.conninfo = database.dsn
        delivery.pacing.succeeded()

    assert handler.stats().spooled == {logging.INFO: FRAMES}
    return handler, logger, come_back


def test_a_backlog_does_not_hide_the_newest_lines(
    database: Database, spooling: tuple[DatabaseLogHandler, logging.Logger, Return], assert_conserved: Conserved
) -> None:
    """What is logged when the database is back is in the table before all that waited is."""
    handler, logger, come_back = spooling
    pacing = handler._writer.delivery.pacing
    pacing.failures, pacing.next_try = 0, math.inf  # so that the worker neither replays nor spools before it has it
    logger.info("fresh")
    eventually(handler._writer.worker.waiting_batch, "the fresh record in the worker's hands")
    come_back()
    eventually(lambda: handler.stats().stored == {logging.INFO: FRAMES + 1}, "everything to be stored")
    handler.close()
    assert_conserved(handler)
    assert messages(database.dsn) == {"fresh": 1, **{str(number): 1 for number in range(FRAMES)}}
    later = sql.SQL("SELECT count(*) FROM dblog_logs WHERE id > (SELECT id FROM dblog_logs WHERE message = 'fresh')")
    with database.connect() as connection:
        assert connection.execute(later).fetchone() != (0,)


def test_a_busy_application_does_not_keep_the_backlog(
    spooling: tuple[DatabaseLogHandler, logging.Logger, Return], assert_conserved: Conserved
) -> None:
    """The spool empties while fresh records keep the worker busy without a pause."""
    handler, logger, come_back = spooling
    done = threading.Event()

    def work() -> None:
        while not done.is_set():  # a batch is always due; the queue is so large that it is never full
            logger.warning("busy")

    busy = threading.Thread(target=work)
    busy.start()
    try:
        come_back()
        eventually(lambda: not handler.stats().spooled.get(logging.INFO), "the spool to empty")
    finally:
        done.set()
        busy.join()
    handler.close()
    assert_conserved(handler)
    assert handler.stats().stored[logging.INFO] == FRAMES
