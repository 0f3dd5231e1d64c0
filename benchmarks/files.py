"""What plain log files cost: dblog's file handler beside the standard `RotatingFileHandler`, rotation included."""

import logging
import logging.handlers
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import rivals
from benchmarks.calls import time_calls
from benchmarks.measure import Figures
from dblog import ResilientRotatingFileHandler

MB = 1e6
BUFFER = 65_536
BOUNDS: dict[str, Any] = {"maxBytes": 10_000_000, "backupCount": 5}
FORMATS = {"usual format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s", "message alone": "%(message)s"}
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
    for _ in range(2000):
        logger.info("order %d of %s was paid", number, "customer 42")
    return logger

warm = [writer(number) for number in range(5)]
before = resident()
writers = [writer(number) for number in range(5, 105)]
print((resident() - before) / 100)
"""
"""Prints how many bytes the process grew by for each of a hundred writers that have each filled their buffer."""


def call_contenders(form: str, threads: int, calls: int) -> dict[str, Callable[[], Figures]]:
    """For each handler the cost of `calls` calls in that format, spread over `threads` threads."""

    def measure(logger: logging.Logger) -> Figures:
        return time_calls(logger, threads, calls)

    return {name: lambda name=name: _with(name, form, measure) for name in HANDLERS}  # type: ignore[misc]


def rate_contenders(form: str, threads: int, records: int, width: int = 0) -> dict[str, Callable[[], Figures]]:
    """For each handler the rate from the first call until all lines are in the files and these are closed.

    Args:
        form: The format of a line.
        threads: How many log at the same time.
        records: How many records they log together.
        width: Bytes of the message; 0 for that of an ordinary one.
    """
    message = "x" * width if width else "order 4711 of customer 42 was paid"
    return {name: lambda name=name: _rate(name, form, threads, records, message) for name in HANDLERS}  # type: ignore[misc]


def cost_contenders() -> dict[str, Callable[[], Figures]]:
    """For each handler what one more writer costs in memory, and what an idle one costs in processor time."""
    return {name: lambda name=name: {**_memory(name), **_idle(name)} for name in HANDLERS}  # type: ignore[misc]


def _with(name: str, form: str, measure: Callable[[logging.Logger], Figures]) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        handler = HANDLERS[name](Path(folder) / "app.log")
        handler.setFormatter(logging.Formatter(form))
        try:
            with rivals.logger_with(handler) as logger:
                return measure(logger)
        finally:
            handler.close()


def _rate(name: str, form: str, threads: int, records: int, message: str) -> Figures:
    size = 0
    start = threading.Barrier(threads + 1)

    def work(logger: logging.Logger) -> None:
        log = logger.info
        start.wait()
        for _ in range(records // threads):
            log(message)

    def measure(logger: logging.Logger) -> Figures:
        nonlocal size
        size = len(logging.Formatter(form).format(logger.makeRecord(logger.name, 20, "", 0, message, (), None))) + 1
        workers = [threading.Thread(target=work, args=(logger,)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        start.wait()
        began = time.perf_counter()
        for worker in workers:
            worker.join()
        logger.handlers[0].close()
        elapsed = time.perf_counter() - began
        return {"records_per_s": records / elapsed, "mb_per_s": records * size / elapsed / MB}

    return _with(name, form, measure)


def _memory(name: str) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _MEMORY, folder, name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"memory_kb": float(done.stdout) / 1000}


def _idle(name: str, seconds: float = 5.0) -> Figures:
    def measure(logger: logging.Logger) -> Figures:
        logger.info("the last for a while")
        time.sleep(1)
        before = time.process_time()
        time.sleep(seconds)
        return {"idle_percent": (time.process_time() - before) / seconds * 100}

    return _with(name, FORMATS["message alone"], measure)
