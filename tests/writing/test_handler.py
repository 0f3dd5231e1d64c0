"""The handler against a real database: what is logged is a row, and the caller never notices."""

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
from stderr import said_so_far

from dblog import DatabaseLogHandler

Stored = Callable[..., list[dict[str, Any]]]
Attach = Callable[..., logging.Logger]
Conserved = Callable[[DatabaseLogHandler], None]
MakeHandler = Callable[..., DatabaseLogHandler]


def test_a_record_becomes_a_row(
    handler: DatabaseLogHandler, logger: logging.Logger, database: Database, stored: Stored
) -> None:
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
            return "".join(
                "\\x00" if c == "\0" else f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in value
            )
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

    logger.info("%s %s", 1)  # noqa: PLE1206 - the mistake is meant
    logger.info("%s", Broken())
    logger.info(Broken())
    logger.info("extra", extra={"broken": Broken(), "nan": math.nan})
    logger.info("x" * 10_000_000)
    for level in (1, 5, 25, 100, 12345):
        logger.log(level, "custom")
    handler.handle(logging.makeLogRecord({"msg": "bare"}))
    handler.handle(logging.makeLogRecord({"msg": "odd", "levelno": 12.5, "created": -1.0, "args": 7, "exc_info": "no"}))
    assert handler.flush()
    stats, rows = handler.stats(), stored(database)
    assert len(rows) == stats.emitted.total() == 12  # type: ignore[attr-defined]
    assert not stats.rejected
    assert stats.repaired >= 6
    assert_conserved(handler)
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
    logger = attach(logging.handlers.QueueHandler(lines))
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
    handler: DatabaseLogHandler,
    logger: logging.Logger,
    database: Database,
    stored: Stored,
    assert_conserved: Conserved,
    capfd: pytest.CaptureFixture[str],
) -> None:
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
    assert_conserved(handler)
    assert "records are dropped" in said_so_far(capfd)


def test_the_workers_own_logs_do_not_come_back(database: Database, make_handler: MakeHandler, attach: Attach) -> None:
    """With the drivers at DEBUG, what the worker's thread makes them log is not taken, or it would never end."""
    handler = make_handler(database.dsn, flush_interval=0.01)
    for name in ("psycopg", "sqlalchemy", "alembic"):
        attach(handler, name=name)
    logger = attach(handler)
    logger.info("one")
    eventually(lambda: handler.stats().stored == {20: 1}, "the row")
    logging.getLogger("psycopg").debug("from the application")
    assert handler.flush()
    assert handler.stats().stored == handler.stats().emitted == {20: 1, 10: 1}


def test_two_handlers_do_not_disturb_each_other(
    databases: Any,
    migrated_template: str,
    database: Database,
    make_handler: MakeHandler,
    attach: Attach,
    stored: Stored,
) -> None:
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


def test_a_connection_of_the_application_is_not_touched(
    handler: DatabaseLogHandler, logger: logging.Logger, database: Database
) -> None:
    """The application's transaction neither sees nor holds up the rows of the handler."""
    with psycopg.connect(database.dsn) as own:
        own.execute("CREATE TABLE mine (a integer)")
        logger.info("x")
        assert handler.flush()
        own.rollback()
    assert handler.stats().stored == {20: 1}
