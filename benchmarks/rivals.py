"""The handlers that dblog is measured against, each written as its users write it."""

import json
import logging
import logging.handlers
import queue
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from dblog import DatabaseLogHandler

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
QUEUE_BYTES = 1024**3

INSERT = """
    INSERT INTO dblog_logs (writer_id, batch_seq, timestamp, level_no, level, logger_name, hostname, process_id, module,
        function_name, filename, lineno, pathname, thread_id, thread_name, exception, extra_data, message)
    VALUES (%s, 1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class ExecutemanyHandler(logging.Handler):
    """Collects 1,000 records and inserts them with one `executemany` and one commit."""

    def __init__(self, dsn: str, batch_size: int = 1000) -> None:
        super().__init__()
        self._connection = psycopg.connect(dsn)
        self._rows: list[tuple[object, ...]] = []
        self._batch_size = batch_size
        self._writer_id = uuid.uuid4()
        self._hostname = socket.gethostname()

    def emit(self, record: logging.LogRecord) -> None:
        extra = {key: value for key, value in record.__dict__.items() if key not in STANDARD}
        self._rows.append(
            (
                self._writer_id,
                datetime.fromtimestamp(record.created, UTC),
                record.levelno,
                record.levelname,
                record.name,
                self._hostname,
                record.process,
                record.module,
                record.funcName,
                record.filename,
                record.lineno,
                record.pathname,
                record.thread,
                record.threadName,
                record.exc_text,
                json.dumps(extra) if extra else None,
                record.getMessage(),
            )
        )
        if len(self._rows) >= self._batch_size:
            self.flush()

    def flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            with self._connection.cursor() as cursor:
                cursor.executemany(INSERT, rows)
            self._connection.commit()

    def close(self) -> None:
        self.flush()
        self._connection.close()
        super().close()


@contextmanager
def dblog_handler(dsn: str) -> Iterator[logging.Handler]:
    """dblog with a queue as large as the rivals', which have no bound at all."""
    handler = DatabaseLogHandler(dsn, queue_max_bytes=QUEUE_BYTES, close_timeout=120)
    try:
        yield handler
        handler.flush(120)
    finally:
        handler.close()


@contextmanager
def queue_and_executemany(dsn: str) -> Iterator[logging.Handler]:
    """The standard library's recipe: a `QueueHandler`, and a `QueueListener` in front of the slow handler."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    target = ExecutemanyHandler(dsn)
    listener = logging.handlers.QueueListener(records, target)
    listener.start()
    try:
        yield logging.handlers.QueueHandler(records)
    finally:
        listener.stop()
        target.close()


@contextmanager
def rotating_file(folder: Path) -> Iterator[logging.Handler]:
    """The standard `RotatingFileHandler` with the usual format: 10 MB and 5 backups."""
    handler = logging.handlers.RotatingFileHandler(folder / "app.log", maxBytes=10_000_000, backupCount=5)
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    try:
        yield handler
    finally:
        handler.close()


@contextmanager
def no_op() -> Iterator[logging.Handler]:
    """A handler that does nothing: what `logging` itself costs."""

    class NoOp(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pass

    yield NoOp()


@contextmanager
def logger_with(handler: logging.Handler) -> Iterator[logging.Logger]:
    """A logger that has this handler and no other."""
    logger = logging.getLogger("shop.web")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
