"""Batches leave when they are due, and a queue that is full makes room as it was told to."""

import logging
import logging.config
import logging.handlers
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventually import PATIENCE, eventually
from servers import Database

from dblog import DatabaseLogHandler

Stored = Callable[..., list[dict[str, Any]]]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]
MakeHandler = Callable[..., DatabaseLogHandler]


@pytest.mark.parametrize(
    ("arguments", "log"),
    [
        ({"batch_size": 3, "flush_interval": 3600}, lambda logger: [logger.info("x") for _ in range(3)]),
        ({"batch_bytes": 4096, "flush_interval": 3600}, lambda logger: [logger.info("x" * 5000) for _ in range(6)]),
        ({"flush_interval": 0.05}, lambda logger: logger.info("x")),
        ({"flush_interval": 3600}, lambda logger: [logger.info("x"), logger.error("x")]),
    ],
    ids=["count", "bytes", "age", "error"],
)
def test_a_due_batch_leaves_by_itself(
    database: Database,
    make_handler: MakeHandler,
    attach: Attach,
    arguments: dict[str, Any],
    log: Callable[[logging.Logger], object],
) -> None:
    """Nobody has to flush: count, bytes, age or an error bring a batch on its way."""
    handler = make_handler(database.dsn, **arguments)
    log(attach(handler))
    eventually(lambda: sum(handler.stats().stored.values()) > 0, "a batch that leaves by itself")


def test_batches_respect_their_size(database: Database, make_handler: MakeHandler, attach: Attach) -> None:
    """No batch has more records than `batch_size`."""
    handler = make_handler(database.dsn, batch_size=7, flush_interval=3600)
    logger = attach(handler)
    for number in range(50):
        logger.info("%d", number)
    assert handler.flush()
    with database.connect() as connection:
        sizes = connection.execute("SELECT max(rows_stored), sum(rows_stored), count(*) FROM dblog_batches").fetchone()
    assert sizes is not None
    assert sizes[0] <= 7
    assert sizes[1] == 50


def test_overflow_drops_what_may_be_dropped(
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With `overflow: drop` a full queue keeps its bound, refuses what is below ERROR, and counts it."""
    handler = make_handler(
        "host=127.0.0.1 port=1",
        overflow="drop",
        queue_max_bytes=256 * 1024,
        batch_bytes="256MiB",
        batch_size=1_000_000,
        flush_interval=3600,
    )
    logger = attach(handler)
    for _ in range(1000):
        logger.info("x" * 1000)
    logger.error("important")
    assert handler.stats().dropped[20] > 500
    eventually(lambda: handler.stats().waiting[40] == 1, "the error among what waits")
    assert handler.stats().queue_bytes < 300 * 1024
    assert_conserved(handler)
    handler.close(0.1)
    assert_conserved(handler)
    assert capfd.readouterr().err.count("room gets scarce") == 1


@pytest.mark.parametrize("overflow", ["spool", "block"])
@pytest.mark.parametrize("with_spool", [False, True])
def test_overflow_makes_room_elsewhere(
    make_handler: MakeHandler,
    attach: Attach,
    assert_conserved: Conserved,
    tmp_path: Path,
    overflow: str,
    with_spool: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With `overflow: spool` or `block` a full queue moves its oldest records to the spool, else to stderr."""
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # takes connections and never answers
        handler = make_handler(
            f"host=127.0.0.1 port={frozen.getsockname()[1]}",
            overflow=overflow,
            queue_max_bytes=256 * 1024,
            flush_interval=3600,
            block_timeout=0.01,
            connect_timeout=3600,
            spool_dir=tmp_path if with_spool else None,
        )
        logger = attach(handler)
        logger.info("0 first")
        handler.flush(0.0)
        frozen.settimeout(PATIENCE)
        with frozen.accept()[0]:  # from now on the worker waits, and those who log have to make room themselves
            for number in range(1, 2000):
                logger.info("%d %s", number, "x" * 1000)
            assert handler.stats().queue_bytes < 256 * 1024 * 1.5
            handler.close(0.1)
    stats = handler.stats()
    assert_conserved(handler)
    assert (stats.spooled if with_spool else stats.printed) == {20: 2000}
    printed = [int(line.split()[7]) for line in capfd.readouterr().err.splitlines() if "not stored" in line]
    assert sorted(printed) == ([] if with_spool else [*range(2000)])


def test_blocking_waits_for_the_database(
    database: Database, make_handler: MakeHandler, attach: Attach, stored: Stored
) -> None:
    """With `overflow: block` callers wait for a database that is slow, and everything is stored."""
    handler = make_handler(database.dsn, overflow="block", queue_max_bytes=64 * 1024, block_timeout=60.0)
    logger = attach(handler)
    for _ in range(1000):
        logger.info("x" * 1000)
    handler.close()
    assert handler.stats().stored == {20: 1000}


def test_short_lived_threads_do_not_stretch_the_bound(make_handler: MakeHandler, attach: Attach) -> None:
    """The bound of the queue holds also where each thread logs little and ends."""
    handler = make_handler(
        "host=127.0.0.1 port=1", overflow="drop", queue_max_bytes=64 * 1024, batch_size=1_000_000, flush_interval=3600
    )
    logger = attach(handler)
    for _ in range(300):
        thread = threading.Thread(target=logger.info, args=("x" * 1000,))
        thread.start()
        thread.join()
    assert sum(handler.stats().dropped.values()) > 200
    handler.close(0.1)
