"""What an outage costs: the logging call while the database is down, and the way through the spool."""

import math
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import end_to_end, rivals
from benchmarks.calls import time_calls
from benchmarks.kinds import Calls, Standard
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog import DatabaseLogHandler

MB = 1e6
REFUSING = "host=127.0.0.1 port=1"
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints its peak memory in KiB; from a small process, because a child begins with its parent's."""


def tables(run: Run) -> Iterator[Table]:
    """The call, for each state of the database; then into the spool and from there into the table."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections and never answers
        targets = {
            "takes records": run.dsn,
            "refuses connections": REFUSING,
            "never answers": f"host=127.0.0.1 port={listener.getsockname()[1]}",
        }
        yield Table(
            "Cost of a call during an outage",
            {name: lambda dsn=dsn: measure_calls(dsn, run.calls) for name, dsn in targets.items()},  # type: ignore[misc]
            to="takes records",
            compare=("p50_us", "p99_us"),
            note=f"{run.calls:,} calls with `extra` of two values, from one thread; the database …",
        )
    yield Table(
        "Through the spool",
        {
            "into the table": lambda: into_the_table(run.dsn, run.records),
            "into the spool": lambda: into_the_spool(run),
            "`dblog replay` of the spool": lambda: replayed(run),
        },
        to="into the table",
        compare=("records_per_s",),
        plot=("records_per_s",),
        note=f"{run.records:,} records with `extra` of two values, from one thread; logging ends when all are there.",
    )


def measure_calls(dsn: str, calls: int) -> Figures:
    """The cost of calls once the handler has seen in what state the database is; what cannot be stored is spooled."""
    with tempfile.TemporaryDirectory() as folder, _spooling(dsn, folder, 0.5) as (handler, logging_calls):
        logging_calls.plain(0)
        if not handler.flush(rivals.DRAIN):
            raise RuntimeError("the first record is neither stored nor spooled")
        return time_calls(logging_calls.extra, 1, calls)


def into_the_table(dsn: str, records: int) -> Figures:
    """The rate at which records reach the table while it is there."""
    rate = end_to_end.measure(rivals.DBLOG.name, dsn, "extra", records, math.inf)["records_per_s"]
    return {"records_per_s": rate, "mb_per_s": math.nan, "peak_mb": math.nan}


def into_the_spool(run: Run) -> Figures:
    """The rate at which records reach the spool, from the first call until the handler is closed."""
    with tempfile.TemporaryDirectory() as folder:
        elapsed = _spool(run, Path(folder))
        return {
            "records_per_s": run.records / elapsed,
            "mb_per_s": _size(Path(folder)) / elapsed / MB,
            "peak_mb": math.nan,
        }


def replayed(run: Run) -> Figures:
    """The rate at which `dblog replay` brings records home, with its start, and the memory that it needs."""
    with tempfile.TemporaryDirectory() as folder:
        _spool(run, Path(folder))
        size = _size(Path(folder))
        end_to_end.empty(run.dsn)
        command = [sys.executable, "-m", "dblog", "replay", "--dsn", run.dsn, "--spool-dir", folder]
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-S", "-c", _PEAK, *command], capture_output=True, text=True, check=True)
        elapsed = time.perf_counter() - began
    end_to_end.check(run.dsn, run.records)
    peak = int(done.stdout.split()[-1]) * 1024 / MB
    return {"records_per_s": run.records / elapsed, "mb_per_s": size / elapsed / MB, "peak_mb": peak}


def _spool(run: Run, folder: Path) -> float:
    """Log while the server is down; returns the seconds that it took."""
    run.server.kill()
    try:
        began = time.perf_counter()
        with _spooling(run.dsn, str(folder), rivals.DRAIN) as (_, calls):
            end_to_end.log(calls.extra, run.records)
        return time.perf_counter() - began
    finally:
        run.server.start()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.seg"))


@contextmanager
def _spooling(dsn: str, folder: str, close_timeout: float) -> Iterator[tuple[DatabaseLogHandler, Calls]]:
    handler = DatabaseLogHandler(
        dsn, spool_dir=folder, spool_max_bytes="64GiB", queue_max_bytes=rivals.QUEUE_BYTES, connect_timeout=2
    )
    try:
        with rivals.logger_with(handler) as logger:
            yield handler, Standard(logger)
    finally:
        handler.close(close_timeout)
