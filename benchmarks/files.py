"""What plain log files cost: dblog's file handler beside the standard `RotatingFileHandler`."""

import logging
import logging.handlers
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import rivals
from benchmarks.calls import LONG, Window, time_calls
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog import ResilientRotatingFileHandler

MB = 1e6
BUFFER = 65_536
ROTATED, KEPT = 5_000, 5
"""After how many lines a file is rotated, so that each measurement has some of it, and how many old files are kept."""
THREADS = 100
STANDARD = "RotatingFileHandler"
USUAL = "usual format"
ALONE = "%(message)s"
LINES = {
    USUAL: (rivals.FORMAT, "order 4711 of customer 42 was paid"),
    "message alone": (ALONE, "order 4711 of customer 42 was paid"),
    "messages of 1,000 bytes": (ALONE, "x" * 1000),
}
"""The format and the message of what is written."""
LAST = "the last for a while"
CONDITIONS = f"Files are rotated after {ROTATED:,} lines, {KEPT} are kept; nobody calls fsync."
HANDLERS: dict[str, Callable[[Path, int], logging.Handler]] = {
    "dblog": lambda path, size: ResilientRotatingFileHandler(path, maxBytes=size, backupCount=KEPT, buffer_size=BUFFER),
    "dblog, unbuffered": lambda path, size: ResilientRotatingFileHandler(path, maxBytes=size, backupCount=KEPT),
    STANDARD: lambda path, size: logging.handlers.RotatingFileHandler(path, maxBytes=size, backupCount=KEPT),
}
"""By name, each for a file and its largest size in bytes."""

_MEMORY = """
import logging, os, sys
from benchmarks.files import HANDLERS
from pathlib import Path

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def writer(number):
    logger = logging.Logger("memory")
    logger.addHandler(HANDLERS[sys.argv[2]](Path(sys.argv[1], f"{number}.log"), 10_000_000))
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
    """Rates and the cost of a call for each kind of line and number of threads, then what one more writer costs."""
    for threads in (1, THREADS):
        for kind in (USUAL,) if run.quick else LINES:
            yield Table(
                f"Log files, {kind}, {threads} thread{'s'[: threads > 1]}",
                {
                    name: lambda name=name, kind=kind, threads=threads: {  # type: ignore[misc]
                        **rate(name, *LINES[kind], threads, run.seconds),
                        **_cost(name, *LINES[kind], threads, run.seconds),
                    }
                    for name in HANDLERS
                },
                to=STANDARD,
                compare=("records_per_s", "p99_us"),
                plot=("mb_per_s",),
                note=f"{run.seconds:g} seconds of records, until all are in the file and it is closed, then as long"
                f" again to take the cost of a call. {CONDITIONS}",
            )
    yield Table(
        f"Log files, {THREADS} threads with a file each",
        {name: lambda name=name: rate(name, *LINES[USUAL], THREADS, run.seconds, THREADS) for name in HANDLERS},  # type: ignore[misc]
        to=STANDARD,
        compare=("records_per_s",),
        plot=("mb_per_s",),
        note=f"{run.seconds:g} seconds of records in the usual format, until all are in their files. {CONDITIONS}",
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
def _logger(name: str, form: str, message: str, path: Path) -> Iterator[logging.Logger]:
    """A logger whose handler writes such lines to that file, and has written and closed it at the end."""
    handler = HANDLERS[name](path, ROTATED * _size(form, message))
    handler.setFormatter(logging.Formatter(form))
    logger = logging.Logger(rivals.LOGGER)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()


def _cost(name: str, form: str, message: str, threads: int, seconds: float) -> Figures:
    with tempfile.TemporaryDirectory() as folder, _logger(name, form, message, Path(folder, "app.log")) as logger:
        figures = time_calls(lambda number: logger.info(message), threads, seconds)
    return {name: figures[name] for name in ("p50_us", "p99_us", "p999_us", "calls")}


def rate(name: str, form: str, message: str, threads: int, seconds: float, files: int = 1) -> Figures:
    """How much the threads log in that time, which goes on until all is in the files and these are closed.

    Raises:
        RuntimeError: One file took all, and has not been rotated twice, though there was time for that.
    """
    window = Window(threads + 1, seconds)
    logged = array("Q", bytes(8 * threads))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"app-{number}.log") for number in range(files)]
        with ExitStack() as stack:
            loggers = [stack.enter_context(_logger(name, form, message, path)) for path in paths]

            def work(number: int) -> None:
                log, end, count = loggers[number % files].info, window.wait(), 0
                while time.perf_counter_ns() < end:
                    log(message)
                    count += 1
                logged[number] = count

            workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
            for worker in workers:
                worker.start()
            began = window.wait() - round(seconds * 1e9)
            for worker in workers:
                worker.join()
        elapsed = (time.perf_counter_ns() - began) / 1e9
        if files == 1 and seconds >= LONG and not list(Path(folder).glob("*.2*")):
            raise RuntimeError(f"{name} has not rotated its file twice in {seconds:g} seconds")
    records = sum(logged)
    return {"records_per_s": records / elapsed, "mb_per_s": records * _size(form, message) / elapsed / MB}


def _size(form: str, message: str) -> int:
    """The bytes of a line."""
    record = logging.LogRecord(rivals.LOGGER, logging.INFO, "", 0, message, (), None)
    return len(logging.Formatter(form).format(record)) + 1


def _memory(name: str) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _MEMORY, folder, name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"memory_kb": float(done.stdout) / 1000}


def _idle(name: str, seconds: float) -> Figures:
    with tempfile.TemporaryDirectory() as folder, _logger(name, ALONE, LAST, Path(folder, "app.log")) as logger:
        logger.info(LAST)
        time.sleep(0.5)
        before = time.process_time()
        time.sleep(seconds)
        return {"idle_percent": (time.process_time() - before) / seconds * 100}
