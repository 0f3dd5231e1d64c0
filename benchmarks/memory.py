"""What a handler keeps in memory: at rest, while records come as fast as they can, and while the database is away.

Each figure is that of a process of its own, beyond what it had once the libraries were imported and one handler had
come and gone. Linux tells it, other systems do not.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from benchmarks import end_to_end, rivals
from benchmarks.measure import Figures, Table
from benchmarks.outage import REFUSING
from benchmarks.run import Run
from dblog import DatabaseLogHandler
from dblog.defaults import QUEUE_MAX_BYTES, SPOOL_MAX_BYTES
from dblog.stats import HandlerStats

TITLE = "Memory of a handler"
AT_REST = "at rest, connected"
LOADED = "under load"
OUTAGE = "under load, the database refuses connections"
SILENCE = "under load, the database never answers"
MB = 1e6
HANDLERS = 10
OUTCOMES = ("stored", "spooled", "dropped", "printed")
_STATUS = Path("/proc/self/status")


def tables(run: Run) -> Iterator[Table]:
    """All states of a handler with its default bounds."""
    if not _STATUS.exists():
        return
    end_to_end.empty(run.dsn)
    seconds = 0.5 if run.tiny else 5 if run.quick else 300
    short = min(seconds, 30)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections and never answers
        silent = f"host=127.0.0.1 port={listener.getsockname()[1]}"
        yield Table(
            TITLE,
            {
                AT_REST: lambda: apart("at_rest", run.dsn, 0),
                LOADED: lambda: apart("under_load", run.dsn, short),
                OUTAGE: lambda: apart("under_load", REFUSING, seconds),
                SILENCE: lambda: apart("under_load", silent, short),
            },
            note=f"Beyond the imported libraries; of {HANDLERS} handlers at rest the mean, else the peak of one whose "
            f"queue may take {QUEUE_MAX_BYTES / MB:.1f} MB, and whose spool {SPOOL_MAX_BYTES / MB:,.0f} MB. One thread "
            f"logs as fast as it can: while connections are refused for {seconds:g} s, else for {short:g} s. Then some "
            "of the records still wait in the queue; what has become of the others is told. One round.",
            rounds=1,
        )


def apart(state: str, dsn: str, seconds: float) -> Figures:
    """The figures of one state, in a process of its own, in pure Python."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", state, dsn, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what a handler prints of its records may be gigabytes
        env={**os.environ, **rivals.PURE},
        text=True,
        check=True,
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def at_rest(dsn: str, folder: str, _seconds: float) -> Figures:
    """Of a handler that has delivered what it was given and keeps its connection."""
    before = resident("VmRSS")
    handlers = [DatabaseLogHandler(dsn, spool_dir=folder) for _ in range(HANDLERS)]
    for handler in handlers:
        log(handler, lambda number: number < 1000)
        handler.flush(30)
    memory = (resident("VmRSS") - before) / HANDLERS
    stats = handlers[0].stats()
    for handler in handlers:
        handler.close()
    return _figures(memory, 0, stats)


def under_load(dsn: str, folder: str, seconds: float) -> Figures:
    """At the worst moment of a handler that is given all that one thread can log."""
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    handler = DatabaseLogHandler(dsn, spool_dir=folder)
    end = time.monotonic() + seconds
    log(handler, lambda _: time.monotonic() < end)
    memory = resident("VmHWM") - before
    stats = handler.stats()
    handler.close(0.0)
    return _figures(memory, QUEUE_MAX_BYTES, stats)


def _figures(memory: float, queue: int, stats: HandlerStats) -> Figures:
    """Bytes as megabytes, and what has become of the records."""
    return {
        "memory_mb": memory / MB,
        "beyond_queue_mb": (memory - queue) / MB,
        "logged": sum(stats.emitted.values()),
        **{outcome: sum(getattr(stats, outcome).values()) for outcome in OUTCOMES},
    }


def log(handler: logging.Handler, more: Callable[[int], bool]) -> None:
    """Log through a handler as long as the number of the next record says that there is more to come."""
    logger = logging.Logger("shop.web")
    logger.addHandler(handler)
    numbers = count()
    while more(number := next(numbers)):
        logger.info("order %d of %s was paid", number, "customer 42", extra={"order_id": number, "path": "/checkout"})


def resident(line: str) -> int:
    """Bytes that `/proc/self/status` tells in a line: VmRSS now, VmHWM at the peak."""
    (found,) = (each for each in _STATUS.read_text().splitlines() if each.startswith(f"{line}:"))
    return int(found.split()[1]) * 1024


def main() -> None:
    """Measure one state and print its figures."""
    state, dsn, seconds = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        first = DatabaseLogHandler(dsn, spool_dir=folder)
        log(first, lambda number: number < 1000)
        first.close(1.0)
        measure = {"at_rest": at_rest, "under_load": under_load}[state]
        print(json.dumps(measure(dsn, folder, float(seconds))))


if __name__ == "__main__":
    main()
