"""The handler against a real database: what is logged is a row, and the caller never notices."""

import json
import logging
import logging.config
import logging.handlers
import math
import queue
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from eventually import eventually
from hypothesis import given
from hypothesis import strategies as st
from servers import Database

from dblog import DatabaseLogHandler, HandlerStats

Stored = Callable[..., list[dict[str, Any]]]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[HandlerStats], None]
MakeHandler = Callable[..., DatabaseLogHandler]


def test_a_record_becomes_a_row(handler: DatabaseLogHandler, logger: logging.Logger, database: Database, stored: Stored) -> None:
    """Everything that a record knows arrives in its column, secrets masked."""
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed for %s", "Zoë", extra={"order": 7, "password": "hunter2"}, stack_info=True)
    assert handler.flush()
    (row,) = stored(database)
    assert (row["level_no"], row["level"], row["logger_name"]) == (40, "ERROR", logger.name)
    assert (row["message"], row["extra_data"]) == ("failed for Zoë", {"order": 7, "password": "***"})
    assert row["exception_type"] == "ValueError"
    assert row["exception"].endswith("ValueError: no")
    assert row["stack_info"].startswith("Stack")
    assert (row["function_name"], row["module"]) == ("test_a_record_becomes_a_row", "test_handler")
    assert (row["thread_id"], row["thread_name"]) == (threading.get_ident(), "MainThread")
    assert row["writer_id"].hex == handler.stats().writer_id


TEXT = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\ud800\\\n\t\r\x1e'"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def storable(value: object) -> object:
    """What is expected to come back for a value."""
    match value:
        case str():
            return "".join("\\x00" if c == "\0" else f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in value)
        case float():
            if not math.isfinite(value):
                return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]
            exact = Decimal(repr(value))  # jsonb keeps the digits, and has no point behind a whole number
            return int(exact) if exact == int(exact) and "e" in repr(value) else value
        case list():
            return [storable(item) for item in value]
        case dict():
            return {storable(key): storable(item) for key, item in value.items()}
    return value


@given(records=st.lists(st.tuples(TEXT, VALUES, TEXT, TEXT), min_size=1, max_size=20))
def test_any_text_and_any_extra_come_back(
    database: Database, make_handler: MakeHandler, stored: Stored, records: list[tuple[str, object, str, str]]
) -> None:
    """Any message, extra, logger and thread name is a row; what PostgreSQL cannot hold is replaced, visibly."""
    handler = make_handler(database.dsn, mask_keys=[])
    with database.connect() as connection:
        connection.execute("TRUNCATE dblog_logs")
    for message, value, name, thread in records:
        made = logging.LogRecord(name, 20, "f.py", 1, message, (), None)
        made.threadName = thread
        made.thing = value
        handler.handle(made)
    assert handler.flush(30)
    rows = stored(database)
    assert [row["message"] for row in rows] == [storable(record[0]) for record in records]
    assert [row["logger_name"] for row in rows] == [storable(record[2]) for record in records]
    assert [row["thread_name"] for row in rows] == [storable(record[3]) for record in records]
    assert [row["extra_data"] for row in rows] == [{"thing": storable(record[1])} for record in records]
    assert not handler.stats().rejected
    handler.close()


def test_odd_records_are_all_stored(
    handler: DatabaseLogHandler, logger: logging.Logger, database: Database, stored: Stored, assert_conserved: Conserved
) -> None:
    """Bad arguments, broken objects, bare records and unknown levels all become rows, and all are counted."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no str")

        __repr__ = __str__

    logger.info("%s %s", 1)
    logger.info("%s", Broken())
    logger.info(Broken())
    logger.info("extra", extra={"broken": Broken(), "nan": math.nan})
    logger.info("x" * 10_000_000)
    for level in (1, 5, 25, 100, 12345):
        logger.log(level, "custom")
    handler.handle(logging.makeLogRecord({"msg": "bare"}))
    handler.handle(logging.makeLogRecord({"msg": "odd", "levelno": 12.5, "created": -1.0, "args": 7, "exc_info": "no"}))
    assert handler.flush(30)
    stats, rows = handler.stats(), stored(database)
    assert len(rows) == stats.emitted.total() == 12  # type: ignore[attr-defined]
    assert not stats.rejected
    assert stats.repaired >= 6
    assert_conserved(stats)
    assert [row["level_no"] for row in rows[5:]] == [1, 5, 25, 100, 12345, 0, 12]
    assert rows[-1]["extra_data"] == {"original_timestamp": "-1.0"}
    assert 900_000 < len(rows[4]["message"]) <= 1024 * 1024


def test_named_levels_adapters_and_warnings(
    handler: DatabaseLogHandler, attach: Attach, database: Database, stored: Stored
) -> None:
    """A named level, an adapter's extra and a captured warning arrive like everything else."""
    logging.addLevelName(25, "NOTICE")
    logger = attach(handler)
    attach(handler, name="py.warnings")
    try:
        logger.log(25, "named")
    finally:
        logging._levelToName.pop(25)
        logging._nameToLevel.pop("NOTICE")
    logging.LoggerAdapter(logger, {"user": "ann"}).info("adapted")
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("careful", UserWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)
    handler.flush()
    named, adapted, warned = stored(database)
    assert named["level"] == "NOTICE"
    assert adapted["extra_data"] == {"user": "ann"}
    assert (warned["logger_name"], warned["level"]) == ("py.warnings", "WARNING")
    assert "UserWarning: careful" in warned["message"]


def test_records_of_a_queue_handler_keep_their_origin(
    handler: DatabaseLogHandler, attach: Attach, database: Database, stored: Stored
) -> None:
    """What comes through the standard QueueHandler keeps thread, place and traceback of the call."""
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logger = attach(logging.handlers.QueueHandler(lines))  # type: ignore[arg-type]
    try:
        raise KeyError("k")
    except KeyError:
        logger.exception("queued %d", 1, extra={"a": 1})
    handler.handle(lines.get())
    handler.flush()
    (row,) = stored(database)
    assert row["function_name"] == "test_records_of_a_queue_handler_keep_their_origin"
    assert "KeyError: 'k'" in row["message"] + (row["exception"] or "")  # before 3.13 it is a part of the message
    assert row["extra_data"] == {"a": 1}


def test_filters_and_levels_decide(database: Database, make_handler: MakeHandler, attach: Attach) -> None:
    """Records below the level, and those that a filter refuses, are neither stored nor counted."""
    handler = make_handler(database.dsn, level="WARNING")
    handler.addFilter(lambda record: record.getMessage() != "no")
    logger = attach(handler)
    for message in ("no", "yes"):
        logger.info(message)
        logger.warning(message)
    assert handler.flush()
    assert handler.stats().emitted == {30: 1}


def test_a_message_that_logs_while_it_is_rendered(
    handler: DatabaseLogHandler, logger: logging.Logger, database: Database, stored: Stored, assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """An object whose `__str__` logs is stored with what it logged; one that never stops is cut off and counted."""

    class Chatty:
        def __str__(self) -> str:
            logger.info("inner")
            return "outer"

    class Endless:
        def __str__(self) -> str:
            logger.info("%s", self)
            return "endless"

    logger.info("%s", Chatty())
    logger.info("%s", Endless())
    handler.flush()
    found = Counter(row["message"] for row in stored(database))
    assert found == {"inner": 1, "outer": 1, "endless": 8}
    assert handler.stats().dropped == {20: 1}
    assert_conserved(handler.stats())
    assert "records are dropped" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "log"),
    [
        ({"batch_size": 3, "flush_interval": 3600}, lambda logger: [logger.info("x") for _ in range(60)]),
        ({"batch_bytes": 4096, "flush_interval": 3600}, lambda logger: [logger.info("x" * 5000) for _ in range(6)]),
        ({"flush_interval": 0.05}, lambda logger: logger.info("x")),
        ({"flush_interval": 3600}, lambda logger: [logger.info("x"), logger.error("x")]),
    ],
    ids=["count", "bytes", "age", "error"],
)
def test_a_due_batch_leaves_by_itself(
    database: Database, make_handler: MakeHandler, attach: Attach, arguments: dict[str, Any],
    log: Callable[[logging.Logger], object],
) -> None:  # fmt: skip
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


def test_closing_tells_the_ledger(handler: DatabaseLogHandler, logger: logging.Logger, database: Database, stored: Stored) -> None:
    """The last batch of a writer is marked as such, and says how many records were accepted in all."""
    for _ in range(10):
        logger.info("x")
    handler.close()
    last = stored(database, "dblog_batches", "batch_seq")[-1]
    assert (last["closing"], last["accepted"], last["rows_stored"]) == (True, 10, 0)
    assert handler.stats().state == "closed"
    handler.close()


def test_a_handler_that_was_never_used_does_not_connect(database: Database) -> None:
    """A handler without records opens no connection and starts no thread."""
    before = set(threading.enumerate())
    handler = DatabaseLogHandler("host=192.0.2.1 dbname=nowhere")
    assert set(threading.enumerate()) == before
    handler.close()
    assert handler.flush()


def test_what_is_logged_after_closing_is_printed(
    handler: DatabaseLogHandler, logger: logging.Logger, capfd: pytest.CaptureFixture[str], assert_conserved: Conserved
) -> None:
    """A late record goes to stderr at once, and is counted as printed."""
    logger.info("early")
    handler.close()
    logger.info("late")
    assert capfd.readouterr().err.splitlines()[0].endswith("late")
    assert (handler.stats().stored, handler.stats().printed) == ({20: 1}, {20: 1})
    assert_conserved(handler.stats())


def test_closing_while_others_log_loses_nothing(
    handler: DatabaseLogHandler, logger: logging.Logger, database: Database, stored: Stored, assert_conserved: Conserved
) -> None:
    """Records that other threads log while the handler is closed are stored or printed, every one."""
    logger.info("first")
    stop = threading.Event()

    def log() -> None:
        while not stop.wait(0.0005):
            logger.info("x")

    threads = [threading.Thread(target=log) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(handler.stats().stored.values()), "the first batch")
    handler.close()
    stop.set()
    for thread in threads:
        thread.join()
    stats = handler.stats()
    assert not stats.waiting
    assert_conserved(stats)
    assert len(stored(database)) == sum(stats.stored.values())


def test_the_workers_own_logs_do_not_come_back(
    database: Database, make_handler: MakeHandler, attach: Attach, stored: Stored
) -> None:
    """With the drivers at DEBUG, what the worker's thread makes them log is not taken, or it would never end."""
    handler = make_handler(database.dsn, flush_interval=0.01)
    for name in ("psycopg", "sqlalchemy", "alembic"):
        attach(handler, name=name)
    logger = attach(handler)
    logger.info("one")
    eventually(lambda: handler.stats().stored == {20: 1}, "the row")
    logging.getLogger("psycopg").debug("from the application")
    assert handler.flush()
    assert [row["message"] for row in stored(database)] == ["one", "from the application"]


def test_two_handlers_do_not_disturb_each_other(
    databases: Any, migrated_template: str, database: Database, make_handler: MakeHandler,
    attach: Attach, stored: Stored,
) -> None:  # fmt: skip
    """Two handlers in one process bring every record into both of their databases."""
    with databases.new(migrated_template) as other:
        handlers = make_handler(database.dsn), make_handler(other.dsn)
        logger = attach(*handlers)
        for number in range(100):
            logger.info("%d", number)
        for handler in handlers:
            handler.close()
        assert [row["message"] for row in stored(database)] == [row["message"] for row in stored(other)]
        assert len(stored(other)) == 100


@pytest.mark.parametrize("key", ["class", "()"])
def test_dictconfig_makes_a_handler(database: Database, stored: Stored, key: str) -> None:
    """The standard configuration by dictionary, as YAML or JSON give it, makes a handler either way."""
    options = {"dsn": database.dsn, "service": "shop", "level": "INFO", "mask_keys": ["pin"], "batch_bytes": "1MiB"}
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"db": {key: "dblog.DatabaseLogHandler", **options}},
        "loggers": {"configured": {"level": "DEBUG", "handlers": ["db"], "propagate": False}},
    }
    logging.config.dictConfig(json.loads(json.dumps(config)))
    logger = logging.getLogger("configured")
    (handler,) = logger.handlers
    logger.debug("too low")
    logger.info("configured", extra={"pin": 1234})
    logger.removeHandler(handler)
    handler.close()
    (row,) = stored(database)
    assert (row["message"], row["service"], row["extra_data"]) == ("configured", "shop", {"pin": "***"})


def test_dictconfig_again_and_again_under_load(database: Database, run: Callable[..., Any], stored: Stored) -> None:
    """Configuring logging twenty times while threads log loses no record and leaves no thread or connection."""
    program = """
import itertools, logging, logging.config, sys, threading
CONFIG = {"version": 1, "disable_existing_loggers": False,
    "handlers": {"db": {"class": "dblog.DatabaseLogHandler", "dsn": sys.argv[1]}},
    "root": {"level": "INFO", "handlers": ["db"]}}
logging.config.dictConfig(CONFIG)
stop, counts = threading.Event(), []
def log(name):
    for number in itertools.count():
        if stop.wait(0.0005):
            break
        logging.info("%s %d", name, number)
    counts.append(number)
threads = [threading.Thread(target=log, args=(name,)) for name in "abcd"]
for thread in threads: thread.start()
for _ in range(20): logging.config.dictConfig(CONFIG)
stop.set()
for thread in threads: thread.join()
logging.shutdown()
workers = [thread for thread in threading.enumerate() if thread.name == "dblog-worker"]
for worker in workers: worker.join(30)
print(sum(counts), sum(worker.is_alive() for worker in workers))
"""
    done = run(program, database.dsn)
    assert done.returncode == 0, done.stderr
    emitted, workers = map(int, done.stdout.split())
    assert workers == 0
    rows = Counter(row["message"] for row in stored(database))
    printed = Counter(line.split(" root ")[1] for line in done.stderr.splitlines() if "not stored" in line)
    between = emitted - (rows + printed).total()
    assert {k: (rows[k], printed[k]) for k, n in (rows + printed).items() if n > 1} == {}
    # While dictConfig replaces the handlers of the root logger it has none for a moment: that is the standard
    # library's gap, in which records reach no handler at all.
    assert 0 <= between <= 20 * 4 * 20


def test_overflow_drops_what_may_be_dropped(
    make_handler: MakeHandler, attach: Attach, assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """With `overflow: drop` a full queue keeps its bound, refuses what is below ERROR, and counts it."""
    handler = make_handler("host=127.0.0.1 port=1", overflow="drop", queue_max_bytes=256 * 1024, batch_bytes="256MiB",
                           batch_size=1_000_000, flush_interval=3600)  # fmt: skip
    logger = attach(handler)
    for _ in range(1000):
        logger.info("x" * 1000)
    logger.error("important")
    stats = handler.stats()
    assert stats.dropped[20] > 500
    assert stats.waiting[40] == 1
    assert stats.queue_bytes < 300 * 1024
    assert_conserved(stats)
    handler.close(0.1)
    assert_conserved(handler.stats())
    assert capfd.readouterr().err.count("the queue is full") == 1


@pytest.mark.parametrize("overflow", ["spool", "block"])
@pytest.mark.parametrize("with_spool", [False, True])
def test_overflow_makes_room_elsewhere(
    make_handler: MakeHandler, attach: Attach, assert_conserved: Conserved, tmp_path: Any,
    overflow: str, with_spool: bool, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """With `overflow: spool` or `block` a full queue moves its oldest records to the spool, or to stderr without one."""
    handler = make_handler("host=127.0.0.1 port=1", overflow=overflow, queue_max_bytes=256 * 1024, flush_interval=3600,
                           block_timeout=0.01, spool_dir=tmp_path if with_spool else None)  # fmt: skip
    logger = attach(handler)
    for number in range(2000):
        logger.info("%d %s", number, "x" * 1000)
    assert handler.stats().queue_bytes < 256 * 1024 * 1.5
    handler.close(1.0)
    stats = handler.stats()
    assert_conserved(stats)
    assert (stats.spooled if with_spool else stats.printed) == {20: 2000}
    printed = [line.split()[7] for line in capfd.readouterr().err.splitlines() if "not stored" in line]
    assert printed == ([] if with_spool else [str(number) for number in range(2000)])


def test_blocking_waits_for_the_database(
    database: Database, make_handler: MakeHandler, attach: Attach, stored: Stored
) -> None:
    """With `overflow: block` callers wait for a database that is slow, and everything is stored."""
    handler = make_handler(database.dsn, overflow="block", queue_max_bytes=64 * 1024, block_timeout=60.0)
    logger = attach(handler)
    for _ in range(1000):
        logger.info("x" * 1000)
    handler.close(30)
    assert handler.stats().stored == {20: 1000}


def test_short_lived_threads_do_not_stretch_the_bound(make_handler: MakeHandler, attach: Attach) -> None:
    """The bound of the queue holds also where each thread logs little and ends."""
    handler = make_handler("host=127.0.0.1 port=1", overflow="drop", queue_max_bytes=64 * 1024, batch_size=1_000_000,
                           flush_interval=3600)  # fmt: skip
    logger = attach(handler)
    for _ in range(300):
        thread = threading.Thread(target=logger.info, args=("x" * 1000,))
        thread.start()
        thread.join()
    assert sum(handler.stats().dropped.values()) > 200
    handler.close(0.1)


def test_the_table_is_made_by_the_first_of_many(
    empty_database: Database, make_handler: MakeHandler, attach: Attach, stored: Stored
) -> None:
    """Several handlers that find no tables make them once, together, and lose nothing."""
    handlers = [make_handler(empty_database.dsn) for _ in range(4)]
    logger = attach(*handlers)
    logger.info("hello")
    for handler in handlers:
        assert handler.flush(60)
    assert [row["message"] for row in stored(empty_database)] == ["hello"] * 4


def test_bad_arguments_are_named() -> None:
    """A wrong argument is a ConfigurationError that names it, and nothing of it is left behind."""
    with pytest.raises(ValueError, match="table_prefix: 'Bad-Prefix' must be 1 to 32 of a-z"):
        DatabaseLogHandler("dbname=x", table_prefix="Bad-Prefix")
    with pytest.raises(ValueError, match="dsn: is not a connection string") as caught:
        DatabaseLogHandler("postgresql://user:hunter2@[::1/")
    assert "hunter2" not in str(caught.value)


def test_a_connection_of_the_application_is_not_touched(handler: DatabaseLogHandler, logger: logging.Logger, database: Database) -> None:
    """The application's transaction neither sees nor holds up the rows of the handler."""
    with psycopg.connect(database.dsn) as own:
        own.execute("CREATE TABLE mine (a integer)")
        logger.info("x")
        assert handler.flush()
        own.rollback()
    assert handler.stats().stored == {20: 1}
