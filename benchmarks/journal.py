"""What a logging call costs when the record must be in a file before the call returns."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import Handler
from pathlib import Path

from benchmarks import rivals
from benchmarks.calls import measure_calls
from benchmarks.measure import Figures
from dblog import DatabaseLogHandler


def contenders(dsn: str, threads: int, calls: int) -> dict[str, Callable[[], Figures]]:
    """For each way to keep records a measurement of `calls` calls, spread over `threads` threads."""

    def file() -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            return measure_calls(dsn, lambda: rivals.rotating_file(Path(folder)), threads, calls)

    return {
        "dblog": lambda: measure_calls(dsn, lambda: _dblog(dsn, "journal"), threads, calls),
        "dblog, durability memory": lambda: measure_calls(dsn, lambda: _dblog(dsn, "memory"), threads, calls),
        "RotatingFileHandler, flushed": file,
    }


@contextmanager
def _dblog(dsn: str, durability: str) -> Iterator[Handler]:
    """dblog with a queue in which all records have room, and with a spool, as a journal needs it."""
    with tempfile.TemporaryDirectory() as folder:
        handler = DatabaseLogHandler(
            dsn, durability=durability, spool_dir=folder, queue_max_bytes=rivals.QUEUE_BYTES, close_timeout=120
        )
        try:
            yield handler
            handler.flush(120)
        finally:
            handler.close()
