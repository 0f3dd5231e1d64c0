"""The handlers that are compared, each opened as its users open it, by name: so that any process can open any."""

import logging
import logging.handlers
import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from benchmarks.inserting import ExecutemanyHandler, InsertHandler, SqlAlchemyHandler
from benchmarks.kinds import Calls, Loguru, Standard
from dblog import DatabaseLogHandler
from dblog.writing.speedups import load

LOGGER = "shop.web"
"""The logger that the contenders log through; loguru has but one."""
FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
QUEUE_BYTES = 1024**3
"""A queue as large as the rivals', which have no bound at all."""
DRAIN = 120.0
"""Seconds that may pass until what waits is in the table."""
FILE_BYTES, BACKUPS = 10_000_000, 5


@dataclass(frozen=True)
class Rival:
    """A way to log.

    Args:
        name: What the tables call it.
        open: Opens it for the database with that connection string, and delivers everything at the end.
        environment: Variables that its process needs.
    """

    name: str
    open: Callable[[str], AbstractContextManager[Calls]]
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def logger_with(handler: logging.Handler) -> Iterator[logging.Logger]:
    """A logger that has this handler and no other."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


@contextmanager
def no_op(_dsn: str) -> Iterator[Calls]:
    """A handler that does nothing: what `logging` itself costs."""

    class NoOp(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pass

    with logger_with(NoOp()) as logger:
        yield Standard(logger)


@contextmanager
def dblog_handler(dsn: str) -> Iterator[Calls]:
    """dblog with its defaults, but for the bound of its queue."""
    handler = DatabaseLogHandler(dsn, queue_max_bytes=QUEUE_BYTES, close_timeout=DRAIN)
    try:
        with logger_with(handler) as logger:
            yield Standard(logger)
        handler.flush(DRAIN)
    finally:
        handler.close()


@contextmanager
def all_defaults(dsn: str) -> Iterator[Calls]:
    """dblog with the bound of its queue, too; what it diverts to the spool is in the table at the end as well."""
    with tempfile.TemporaryDirectory() as folder:
        handler = DatabaseLogHandler(dsn, spool_dir=folder)
        try:
            with logger_with(handler) as logger:
                yield Standard(logger)
            handler.flush(DRAIN)
            end = time.monotonic() + DRAIN
            while sum(handler.stats().spooled.values()) and time.monotonic() < end:
                time.sleep(0.01)
        finally:
            handler.close()


def with_compiled_records(
    opened: Callable[[str], AbstractContextManager[Calls]],
) -> Callable[[str], AbstractContextManager[Calls]]:
    """The same in a program whose records are made by `dblog_speedups`, too."""

    @contextmanager
    def compiled(dsn: str) -> Iterator[Calls]:
        before = logging.getLogRecordFactory()
        logging.setLogRecordFactory(import_module("dblog_speedups").make_record)
        try:
            with opened(dsn) as calls:
                yield calls
        finally:
            logging.setLogRecordFactory(before)

    return compiled


@contextmanager
def journaling(dsn: str) -> Iterator[Calls]:
    """dblog with each record in a file before its call returns."""
    with tempfile.TemporaryDirectory() as folder:
        handler = DatabaseLogHandler(
            dsn, durability="journal", spool_dir=folder, queue_max_bytes=QUEUE_BYTES, close_timeout=DRAIN
        )
        try:
            with logger_with(handler) as logger:
                yield Standard(logger)
            handler.flush(DRAIN)
        finally:
            handler.close()


@contextmanager
def direct(target: logging.Handler) -> Iterator[Calls]:
    """A handler that does its work in the call."""
    try:
        with logger_with(target) as logger:
            yield Standard(logger)
    finally:
        target.close()


@contextmanager
def queued(target: logging.Handler) -> Iterator[Calls]:
    """The standard library's recipe: a `QueueHandler`, and a `QueueListener` in front of the slow handler."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(records, target)
    listener.start()
    try:
        with logger_with(logging.handlers.QueueHandler(records)) as logger:
            yield Standard(logger)
    finally:
        listener.stop()
        target.close()


@contextmanager
def file(_dsn: str) -> Iterator[Calls]:
    """The standard `FileHandler` with the usual format."""
    with (
        tempfile.TemporaryDirectory() as folder,
        direct(_formatted(logging.FileHandler(Path(folder, "app.log")))) as calls,
    ):
        yield calls


@contextmanager
def rotating_file(_dsn: str) -> Iterator[Calls]:
    """The standard `RotatingFileHandler` with the usual format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "app.log")
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=BACKUPS)
        with direct(_formatted(handler)) as calls:
            yield calls


@contextmanager
def loguru_file(_dsn: str) -> Iterator[Calls]:
    """loguru with a file of the same format and size, written by its own thread."""
    from loguru import logger  # only its own process needs it

    logger.remove()
    with tempfile.TemporaryDirectory() as folder:
        sink = logger.add(
            Path(folder, "app.log"),
            format="{time:YYYY-MM-DD HH:mm:ss,SSS} - {name} - {level} - {message}",
            rotation=FILE_BYTES,
            retention=BACKUPS,
            enqueue=True,
            diagnose=False,
            backtrace=False,  # the frames of the exception and no more, as everybody else
        )
        try:
            yield Loguru(logger)
        finally:
            logger.remove(sink)


def _formatted(handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler


PURE, COMPILED = {"DBLOG_SPEEDUPS": "0"}, {"DBLOG_SPEEDUPS": "1"}
NO_OP = Rival("no-op handler", no_op)
NO_OP_FAST = Rival("no-op handler, compiled records", with_compiled_records(no_op))
DBLOG = Rival("dblog", dblog_handler, PURE)
DBLOG_FAST = Rival("dblog with speedups", dblog_handler, COMPILED)
DBLOG_FASTEST = Rival("dblog with speedups, compiled records", with_compiled_records(dblog_handler), COMPILED)
DBLOG_DEFAULTS = Rival("dblog, all defaults", all_defaults, PURE)
DBLOG_JOURNAL = Rival("dblog, durability: journal", journaling, PURE)
EXECUTEMANY = Rival("QueueHandler, executemany 1,000", lambda dsn: queued(ExecutemanyHandler(dsn)))
SQLALCHEMY = Rival("QueueHandler, SQLAlchemy insert 1,000", lambda dsn: queued(SqlAlchemyHandler(dsn)))
INSERT = Rival("INSERT and commit per record", lambda dsn: direct(InsertHandler(dsn)))
FILE = Rival("FileHandler", file)
ROTATING_FILE = Rival("RotatingFileHandler", rotating_file)
LOGURU = Rival("loguru, enqueue=True", loguru_file)

SPEEDUPS = load() is not None
"""True where dblog's accelerator is installed, and of the version that is used."""
OURS = (DBLOG, DBLOG_FAST, DBLOG_FASTEST) if SPEEDUPS else (DBLOG,)
"""dblog in pure Python, and with its accelerator where there is one."""
BASES = (NO_OP, NO_OP_FAST) if SPEEDUPS else (NO_OP,)
"""What `logging` itself costs, and what it costs with compiled records."""
RIVALS: dict[str, Rival] = {
    rival.name: rival
    for rival in (
        *(*BASES, *OURS, DBLOG_DEFAULTS, DBLOG_JOURNAL),
        *(EXECUTEMANY, SQLALCHEMY, INSERT, FILE, ROTATING_FILE, LOGURU),
    )
}
