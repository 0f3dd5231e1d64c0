"""From the first logging call to the last commit: how many records a second reach the table."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from logging import Handler, Logger

import psycopg

from benchmarks import rivals
from benchmarks.measure import Figures
from dblog.columns import LOG_COLUMNS

COLUMNS = ", ".join(column.name for column in LOG_COLUMNS)


def log(logger: Logger, records: int) -> None:
    """Log that many records with two extras each."""
    for number in range(records):
        logger.info(
            "order %d of %s was paid",
            number,
            "customer 42",
            extra={"order_id": number, "path": "/checkout"},
        )


def measure(dsn: str, open_handler: Callable[[], AbstractContextManager[Handler]], records: int) -> Figures:
    """The rate at which records reach an empty table through a fresh handler."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE dblog_logs, dblog_batches")
        connection.execute("CHECKPOINT")
        began = time.perf_counter()
        with open_handler() as handler, rivals.logger_with(handler) as logger:
            log(logger, records)
        elapsed = time.perf_counter() - began
        stored = connection.execute("SELECT count(*) FROM dblog_logs").fetchone()
    if stored != (records,):
        raise RuntimeError(f"{records} records were logged, but {stored} rows are there")
    return {"records_per_s": records / elapsed}


def contenders(dsn: str, records: int) -> dict[str, Callable[[], Figures]]:
    """For each way a measurement of `records` records; the last one is the limit: a COPY of the very same rows."""

    def copy() -> Figures:
        measure(dsn, lambda: rivals.dblog_handler(dsn), records)
        with psycopg.connect(dsn, autocommit=True) as connection:
            with connection.cursor().copy(f"COPY (SELECT {COLUMNS} FROM dblog_logs ORDER BY id) TO STDOUT") as source:
                payload = b"".join(bytes(chunk) for chunk in source)
            connection.execute("TRUNCATE dblog_logs, dblog_batches")
            connection.execute("CHECKPOINT")
            began = time.perf_counter()
            with connection.cursor().copy(f"COPY dblog_logs ({COLUMNS}) FROM STDIN") as target:
                target.write(payload)
            return {"records_per_s": records / (time.perf_counter() - began)}

    return {
        "dblog": lambda: measure(dsn, lambda: rivals.dblog_handler(dsn), records),
        "QueueListener + executemany 1,000": lambda: measure(dsn, lambda: rivals.queue_and_executemany(dsn), records),
        "limit: COPY of the same rows": copy,
    }
