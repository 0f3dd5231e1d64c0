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

from benchmarks import end_to_end, rivals, spooling
from benchmarks.calls import Place, time_calls
from benchmarks.kinds import Calls, Standard
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog import DatabaseLogHandler
from dblog.defaults import SPOOL_FSYNC

MB = 1e6
REFUSING = "host=127.0.0.1 port=1"
TAKES = "takes records"
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints its peak memory in KiB; from a small process, because a child begins with its parent's."""


def tables(run: Run) -> Iterator[Table]:
    """The call, for each state of the database; then into the spool and from there into the table."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections and never answers
        targets: dict[str, tuple[str, Place]] = {
            TAKES: (run.dsn, "stored"),
            "refuses connections": (REFUSING, "spooled"),
            "never answers": (f"host=127.0.0.1 port={listener.getsockname()[1]}", "spooled"),
        }
        yield Table(
            "Cost of a call during an outage",
            {name: run.inside(rivals.DBLOG, measure_calls, *how, run.seconds) for name, how in targets.items()},
            to=TAKES,
            compare=("p50_us", "p99_us"),
            note=f"{run.seconds:g} seconds of calls with `extra` of two values, from one thread; the first column says"
            " what the database does. Delivered: what was in the table by then, or in the spool.",
        )
    yield Table(
        "Through the spool",
        {
            "into the table": lambda: into_the_table(run),
            "into the spool": lambda: into_the_spool(run),
            "the spool's own writer, of encoded batches": run.inside(rivals.DBLOG, spooling.measure, run.records),
            "`dblog replay` of the spool": lambda: replayed(run),
        },
        to="into the table",
        compare=("records_per_s",),
        plot=("records_per_s",),
        note=f"{run.records:,} records with `extra` of two values, from one thread; logging ends when all are there."
        " Into the spool no thread logs faster than it encodes; the spool's own writer is given batches that are"
        f" encoded already. `spool_fsync` is `{SPOOL_FSYNC}`, as it is by default.",
    )


def measure_calls(dsn: str, place: Place, seconds: float) -> Figures:
    """The cost of calls once the handler has seen in what state the database is; what cannot be stored is spooled."""
    with tempfile.TemporaryDirectory() as folder, _spooling(dsn, folder, 0.5) as calls:
        return time_calls(calls.extra, 1, seconds, place)


def into_the_table(run: Run) -> Figures:
    """The rate at which records reach the table while it is there."""
    stored = run.apart(rivals.DBLOG, end_to_end.measure, run.dsn, "extra", run.records, math.inf)()
    return {"records_per_s": stored["records_per_s"], "mb_per_s": math.nan, "peak_mb": math.nan}


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
        return run.inside(rivals.DBLOG, log_and_close, run.dsn, str(folder), run.records)()["elapsed_s"]
    finally:
        run.server.start()


def log_and_close(dsn: str, folder: str, records: int) -> Figures:
    """How long it takes to log that many records through a handler, until it is closed."""
    began = time.perf_counter()
    with _spooling(dsn, folder, rivals.DRAIN) as calls:
        end_to_end.log(calls.extra, records)
    return {"elapsed_s": time.perf_counter() - began}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.seg"))


@contextmanager
def _spooling(dsn: str, folder: str, close_timeout: float) -> Iterator[Calls]:
    handler = DatabaseLogHandler(
        dsn,
        spool_dir=folder,
        spool_max_bytes="64GiB",
        queue_max_bytes=rivals.QUEUE_BYTES,
        connect_timeout=2,
        close_timeout=rivals.DRAIN,
    )
    try:
        with rivals.logger_with(handler) as logger:
            yield Standard(logger)
    finally:
        handler.close(close_timeout)
