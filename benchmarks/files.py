"""What plain log files cost: dblog's file handler beside the standard `RotatingFileHandler`."""

import logging
import logging.handlers
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import rivals
from benchmarks.calls import time_calls
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog import ResilientRotatingFileHandler

MB = 1e6
BUFFER = 65_536
BOUNDS: dict[str, Any] = {"maxBytes": 10_000_000, "backupCount": 5}
ALONE = "%(message)s"
LINES = {
    "usual format": (rivals.FORMAT, "order 4711 of customer 42 was paid"),
    "message alone": (ALONE, "order 4711 of customer 42 was paid"),
    "messages of 1,000 bytes": (ALONE, "x" * 1000),
}
"""The format and the message of what is written."""
HANDLERS: dict[str, Callable[[Path], logging.Handler]] = {
    "dblog": lambda path: ResilientRotatingFileHandler(path, **BOUNDS, buffer_size=BUFFER),
    "dblog, unbuffered": lambda path: ResilientRotatingFileHandler(path, **BOUNDS),
    "RotatingFileHandler": lambda path: logging.handlers.RotatingFileHandler(path, **BOUNDS),
}

_MEMORY = """
import logging, os, sys
from benchmarks.files import HANDLERS
from pathlib import Path

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def writer(number):
    logger = logging.Logger("memory")
    logger.addHandler(HANDLERS[sys.argv[2]](Path(sys.argv[1], f"{number}.log")))
    for _ in range(100):
        logger.info("%s", "x" * 800)
    return logger

warm = [writer(number) for number in range(5)]
before = resident()
writers = [writer(number) for number in range(5, 105)]
print((resident() - before) / 100)
"""
"""Prints how many bytes the process grew by for each of a hundred writers that have each filled their buffer."""


def tables(run: Run) -> Iterator[Table]:
    """Rates and the cost of a call for each kind of line and number of threads, then what an idle writer costs."""
    for threads in (1, 100):
        for kind in ("usual format",) if run.quick else LINES:
            yield Table(
                f"Log files, {kind}, {threads} thread{'s'[: threads > 1]}",
                {
                    name: lambda name=name, kind=kind, threads=threads: {  # type: ignore[misc]
                        **_rate(name, *LINES[kind], threads, run.calls),
                        **_cost(name, *LINES[kind], threads, run.calls),
                    }
                    for name in HANDLERS
                },
                to="RotatingFileHandler",
                compare=("records_per_s", "p99_us"),
                plot=("mb_per_s",),
                note=f"{run.calls:,} records until all are in the file and it is closed, then as many calls.",
            )
    yield Table(
        "Log files, one more writer",
        {
            name: lambda name=name: {**_memory(name), **_idle(name, 0.2 if run.quick else 5.0)}  # type: ignore[misc]
            for name in HANDLERS
        },
        rounds=1 if run.quick else None,
        note="Memory of one that has lines in its buffer, processor time of one that has nothing to do.",
    )


@contextmanager
def _logger(name: str, form: str) -> Iterator[logging.Logger]:
    with tempfile.TemporaryDirectory() as folder:
        handler = HANDLERS[name](Path(folder) / "app.log")
        handler.setFormatter(logging.Formatter(form))
        try:
            with rivals.logger_with(handler) as logger:
                yield logger
        finally:
            handler.close()


def _cost(name: str, form: str, message: str, threads: int, calls: int) -> Figures:
    with _logger(name, form) as logger:
        return time_calls(lambda number: logger.info(message), threads, calls)


def _rate(name: str, form: str, message: str, threads: int, records: int) -> Figures:
    start = threading.Barrier(threads + 1)

    def work() -> None:
        start.wait()
        for _ in range(records // threads):
            log(message)

    with _logger(name, form) as logger:
        log = logger.info
        size = len(logging.Formatter(form).format(logger.makeRecord(logger.name, 20, "", 0, message, (), None))) + 1
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        began = time.perf_counter()  # before the threads are let go: this one may not run again until they are done
        start.wait()
        for worker in workers:
            worker.join()
        logger.handlers[0].close()
        elapsed = time.perf_counter() - began
    return {"records_per_s": records / elapsed, "mb_per_s": records * size / elapsed / MB}


def _memory(name: str) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _MEMORY, folder, name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"memory_kb": float(done.stdout) / 1000}


def _idle(name: str, seconds: float) -> Figures:
    with _logger(name, ALONE) as logger:
        logger.info("the last for a while")
        time.sleep(0.5)
        before = time.process_time()
        time.sleep(seconds)
        return {"idle_percent": (time.process_time() - before) / seconds * 100}
