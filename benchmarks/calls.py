"""The cost of one logging call in the application's thread."""

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from logging import Handler, Logger
from pathlib import Path

import psycopg

from benchmarks import rivals
from benchmarks.measure import Figures, percentile

NS = 1e-3  # from nanoseconds to microseconds


def contenders(dsn: str, threads: int, calls: int) -> dict[str, Callable[[], Figures]]:
    """For each handler a measurement of `calls` calls, spread over `threads` threads."""

    def measure(open_handler: Callable[[], AbstractContextManager[Handler]]) -> Figures:
        return measure_calls(dsn, open_handler, threads, calls)

    def file() -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            return measure(lambda: rivals.rotating_file(Path(folder)))

    return {
        "no-op handler": lambda: measure(rivals.no_op),
        "dblog": lambda: measure(lambda: rivals.dblog_handler(dsn)),
        "QueueHandler (executemany)": lambda: measure(lambda: rivals.queue_and_executemany(dsn)),
        "RotatingFileHandler": file,
    }


def measure_calls(
    dsn: str, open_handler: Callable[[], AbstractContextManager[Handler]], threads: int, calls: int
) -> Figures:
    """The cost of `calls` calls, spread over `threads` threads, with a fresh handler and an empty table."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE dblog_logs")
    with open_handler() as handler, rivals.logger_with(handler) as logger:
        return time_calls(logger, threads, calls)


def time_calls(logger: Logger, threads: int, calls: int) -> Figures:
    """The cost of `calls` calls of that logger, spread over `threads` threads."""
    share = calls // threads
    durations: list[list[int]] = [[] for _ in range(threads)]
    start = threading.Barrier(threads + 1)

    def work(mine: list[int]) -> None:
        clock, log = time.perf_counter_ns, logger.info
        start.wait()
        for number in range(share):
            before = clock()
            log("order %d of %s was paid", number, "customer 42", extra={"order_id": number, "path": "/checkout"})
            mine.append(clock() - before)

    workers = [threading.Thread(target=work, args=(mine,)) for mine in durations]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - began
    ordered = sorted(duration for mine in durations for duration in mine)
    return {
        "p50_us": percentile(ordered, 0.5) * NS,
        "p99_us": percentile(ordered, 0.99) * NS,
        "p999_us": percentile(ordered, 0.999) * NS,
        "calls_per_s": len(ordered) / elapsed,
    }
