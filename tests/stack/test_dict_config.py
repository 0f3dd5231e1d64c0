"""The standard ways of attaching a handler, by files and by code, all work with `DatabaseLogHandler`."""

import json
import logging
import logging.handlers
import queue
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import reconfiguring_app
from programs import Start, run_to_the_end
from psycopg import sql
from servers import Database
from spools import waiting_segments

from dblog import DatabaseLogHandler

TIMEOUT = 60.0
SUCCESSOR = "somebody else's"
BY_CLASS = """
version: 1
disable_existing_loggers: false
handlers:
  database:
    class: dblog.DatabaseLogHandler
    level: DEBUG
    dsn: {dsn}
    service: shop
    close_timeout: 60
    batch_size: 20
    queue_max_bytes: 1MiB
    mask_keys: [password]
root: {{level: DEBUG, handlers: [database]}}
"""
BY_FACTORY = BY_CLASS.replace("class:", "'()':")
IN_MEMORY = """
version: 1
handlers:
  database: {{class: dblog.DatabaseLogHandler, dsn: {dsn}, service: shop, close_timeout: 60}}
  memory: {{class: logging.handlers.MemoryHandler, capacity: 30, flushLevel: 60, target: database}}
root: {{level: DEBUG, handlers: [memory]}}
"""
FILE_CONFIG = """
[loggers]
keys = root
[handlers]
keys = database
[formatters]
keys =
[logger_root]
level = DEBUG
handlers = database
[handler_database]
class = dblog.DatabaseLogHandler
level = DEBUG
args = ("{dsn}",)
kwargs = {{"service": "shop", "batch_size": 20, "close_timeout": 60}}
"""
AGAIN = """
version: 1
disable_existing_loggers: false
handlers:
  database: {{class: dblog.DatabaseLogHandler, dsn: {dsn}, spool_dir: {spool}, close_timeout: 60}}
root: {{level: DEBUG, handlers: [database]}}
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("logging.yml", BY_CLASS, id="dictConfig, class"),
        pytest.param("logging.yml", BY_FACTORY, id="dictConfig, factory"),
        pytest.param("logging.yml", IN_MEMORY, id="dictConfig, behind a MemoryHandler"),
        pytest.param("logging.ini", FILE_CONFIG, id="fileConfig"),
    ],
)
def test_a_program_is_told_by_a_file_to_log_into_the_database(
    empty_database: Database, start: Start, tmp_path: Path, name: str, text: str
) -> None:
    """A program without a word of dblog in it has all its records stored, though it simply ends after the last."""
    file = tmp_path / name
    file.write_text(text.format(dsn=empty_database.dsn), encoding="utf-8")
    assert start("configured_app.py", file).finish() == ""
    query = "SELECT logger_name, level, service, message, extra_data, exception_type FROM dblog_logs ORDER BY id"
    with empty_database.connect() as connection:
        rows = connection.execute(query).fetchall()
    for part in ("cart", "stock"):
        items = [("DEBUG", "shop", f"item {number}", {"number": number}, None) for number in range(50)]
        last = ("ERROR", "shop", f"nothing more for {part}", None, "LookupError")
        assert [row[1:] for row in rows if row[0] == f"shop.{part}"] == [*items, last]
    assert len(rows) == 2 * 51


def test_configuring_again_at_once_stores_what_was_logged_before(
    empty_database: Database, start: Start, tmp_path: Path
) -> None:
    """What the first configuration's handler took is stored although the next one replaces it before it has connected.

    `dictConfig` closes handlers while it holds the lock that each logger of the driver needs to connect.
    """
    file = tmp_path / "logging.yml"
    file.write_text(BY_CLASS.format(dsn=empty_database.dsn), encoding="utf-8")
    start("configured_app.py", file, file, file).finish()
    rows = Counter(messages(empty_database, "dblog"))
    assert rows["item 0"] == 3 * 2
    assert rows.total() == 3 * 2 * 51


def test_configuring_again_under_load_loses_nothing(empty_database: Database, tmp_path: Path) -> None:
    """While `dictConfig` closes a handler and attaches its successor, other threads log on, and each record is a row.

    All but those that reach no handler at all, because the standard library has none attached for a moment. Records
    that came to a closed handler wait in the spool, from where the next one brings them to the database.
    """
    file, spool = tmp_path / "logging.yml", tmp_path / "spool"
    file.write_text(AGAIN.format(dsn=empty_database.dsn, spool=spool), encoding="utf-8")
    figures = json.loads(run_to_the_end(reconfiguring_app.__file__, file, 4))
    logged = {f"{thread} {number}" for thread, count in enumerate(figures["logged"]) for number in range(count)}
    deliver_what_waits(empty_database, spool)
    rows = [row for row in messages(empty_database, "dblog") if row not in (SUCCESSOR, "quiet")]
    assert Counter(rows) == Counter(logged - set(figures["unhandled"]))


def test_a_queue_in_front_of_the_handler_keeps_order_and_threads(database: Database) -> None:
    """Through `QueueHandler` and `QueueListener` records keep their order, their logger and their thread.

    What the worker's thread logs comes back through the queue in another thread, and is not taken either.
    """
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logger = logging.Logger("front")
    logger.addHandler(logging.handlers.QueueHandler(waiting))
    for number in range(500):
        logger.info("number %d", number, extra={"number": number})
    logger.handle(record("born of a delivery", threadName="dblog-worker"))
    with closing(DatabaseLogHandler(database.dsn, close_timeout=TIMEOUT)) as handler:
        listener = logging.handlers.QueueListener(waiting, handler)
        listener.start()
        listener.stop()
    query = "SELECT logger_name, thread_name, message, extra_data FROM dblog_logs ORDER BY id"
    with database.connect() as connection:
        rows = connection.execute(query).fetchall()
    assert rows == [("front", "MainThread", f"number {number}", {"number": number}) for number in range(500)]


def test_a_memory_handler_hands_its_records_on(database: Database) -> None:
    """What a `MemoryHandler` held back arrives in order with its exception, once a serious record has come."""
    with closing(DatabaseLogHandler(database.dsn, close_timeout=TIMEOUT)) as handler:
        logger = logging.Logger("held")
        logger.addHandler(logging.handlers.MemoryHandler(capacity=1000, target=handler))
        for number in range(10):
            logger.debug("held back %d", number)
        assert handler.stats().emitted == {}
        logger.error("now", exc_info=ValueError("why"))
    with database.connect() as connection:
        rows = connection.execute("SELECT message, exception_type, exception FROM dblog_logs ORDER BY id").fetchall()
    held_back = [(f"held back {number}", None, None) for number in range(10)]
    assert rows == [*held_back, ("now", "ValueError", "ValueError: why")]


def test_two_prefixes_at_once_each_have_their_own(empty_database: Database) -> None:
    """Two handlers in one process fill two sets of tables in one schema; a logger with both has its records in both."""
    with (
        closing(DatabaseLogHandler(empty_database.dsn, table_prefix="shop", close_timeout=TIMEOUT)) as first,
        closing(DatabaseLogHandler(empty_database.dsn, table_prefix="audit", close_timeout=TIMEOUT)) as second,
    ):
        for name, handlers in {"one": [first], "two": [second], "both": [first, second]}.items():
            logger = logging.Logger(name)
            for handler in handlers:
                logger.addHandler(handler)
            for number in range(20):
                logger.info("%s %d", name, number)
    expected = {name: [f"{name} {number}" for number in range(20)] for name in ("one", "two", "both")}
    assert messages(empty_database, "shop") == expected["one"] + expected["both"]
    assert messages(empty_database, "audit") == expected["two"] + expected["both"]


def deliver_what_waits(database: Database, spool: Path) -> None:
    """Let another handler adopt what is in the spool, and wait until that is empty."""
    with closing(DatabaseLogHandler(database.dsn, spool_dir=spool, close_timeout=TIMEOUT)) as handler:
        handler.handle(record(SUCCESSOR))
        deadline = time.monotonic() + TIMEOUT
        while waiting := waiting_segments(spool):
            assert time.monotonic() < deadline, f"still in the spool: {waiting}"
            handler.flush(0.1)


def record(message: str, **attributes: object) -> logging.LogRecord:
    """A record with attributes of its own."""
    return logging.makeLogRecord({"msg": message, "levelno": logging.INFO, "levelname": "INFO", **attributes})


def messages(database: Database, prefix: str) -> list[str]:
    """All messages in the order of their arrival."""
    query = sql.SQL("SELECT message FROM {} ORDER BY id").format(sql.Identifier(f"{prefix}_logs"))
    with database.connect() as connection:
        return [message for (message,) in connection.execute(query)]
