"""What an outage costs: the logging call while the database is down, and bringing home what waited."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import Handler
from pathlib import Path

import psycopg

from benchmarks import end_to_end, rivals
from benchmarks.calls import measure_calls
from benchmarks.measure import Figures
from dblog import DatabaseLogHandler
from dblog.embedded import EmbeddedServer

MIB = 1024 * 1024
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints its peak memory in KiB; from a small process, because a child begins with its parent's."""


def call_contenders(dsn: str, threads: int, calls: int) -> dict[str, Callable[[], Figures]]:
    """A measurement of `calls` calls for each state of the database; records that cannot be stored are spooled."""

    def measure(target: str) -> Figures:
        return measure_calls(dsn, lambda: _spooling(target), threads, calls)

    def frozen() -> Figures:
        with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections and never answers
            return measure(f"host=127.0.0.1 port={listener.getsockname()[1]}")

    return {
        "dblog": lambda: measure(dsn),
        "the database refuses connections": lambda: measure("host=127.0.0.1 port=1"),
        "the database never answers": frozen,
    }


def replay_contenders(server: EmbeddedServer, records: int) -> dict[str, Callable[[], Figures]]:
    """Bringing `records` records into the table: logged while it is up, or from the spool by `dblog replay`."""
    dsn = server.dsn()

    def direct() -> Figures:
        return {**end_to_end.measure(dsn, lambda: rivals.dblog_handler(dsn), records), "peak_memory_mib": 0.0}

    def replay() -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            server.kill()
            try:
                with _spooling(dsn, folder) as handler, rivals.logger_with(handler) as logger:
                    end_to_end.log(logger, records)
            finally:
                server.start()
            return _replay(dsn, Path(folder), records)

    return {"dblog": direct, "`dblog replay` of as many records": replay}


def _replay(dsn: str, folder: Path, records: int) -> Figures:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE dblog_logs, dblog_batches")
        connection.execute("CHECKPOINT")
        began = time.perf_counter()
        command = [sys.executable, "-m", "dblog", "replay", "--dsn", dsn, "--spool-dir", str(folder)]
        done = subprocess.run([sys.executable, "-S", "-c", _PEAK, *command], capture_output=True, text=True, check=True)
        elapsed = time.perf_counter() - began
        stored = connection.execute("SELECT count(*) FROM dblog_logs WHERE logger_name <> 'dblog'").fetchone()
    if stored != (records,):
        raise RuntimeError(f"{records} records were spooled, but {stored} rows are there")
    return {"records_per_s": records / elapsed, "peak_memory_mib": int(done.stdout.split()[-1]) * 1024 / MIB}


@contextmanager
def _spooling(dsn: str, folder: str | None = None) -> Iterator[Handler]:
    with tempfile.TemporaryDirectory() as own:
        handler = DatabaseLogHandler(
            dsn, spool_dir=folder or own, spool_max_bytes="64GiB", queue_max_bytes=rivals.QUEUE_BYTES, connect_timeout=2
        )
        try:
            yield handler
        finally:
            handler.close(120)
