"""What a handler keeps in memory: at rest, while records come as fast as they can, and while the database is away.

Each figure is that of a process of its own, beyond what it had once the libraries were imported and one handler had
come and gone. Linux tells it, other systems do not.
"""

import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from benchmarks import end_to_end
from benchmarks.measure import Figures, Table
from benchmarks.outage import REFUSING
from benchmarks.run import Run
from dblog import DatabaseLogHandler
from dblog.defaults import QUEUE_MAX_BYTES

TITLE = "Memory of a handler"
AT_REST = "at rest, connected"
LOADED = "under load"
OUTAGE = "under load, the database refuses connections"
SILENCE = "under load, the database never answers"
MB = 1e6
HANDLERS = 10
_STATUS = Path("/proc/self/status")


def tables(run: Run) -> Iterator[Table]:
    """All states of a handler with its default bounds."""
    if not _STATUS.exists():
        return
    end_to_end.empty(run.dsn)
    seconds = 0.5 if run.tiny else 5 if run.quick else 300
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections and never answers
        silent = f"host=127.0.0.1 port={listener.getsockname()[1]}"
        yield Table(
            TITLE,
            {
                AT_REST: lambda: apart("at_rest", run.dsn, 0),
                LOADED: lambda: apart("under_load", run.dsn, min(seconds, 30)),
                OUTAGE: lambda: apart("under_load", REFUSING, seconds),
                SILENCE: lambda: apart("under_load", silent, min(seconds, 30)),
            },
            note=f"Beyond the imported libraries; of {HANDLERS} handlers at rest the mean, else the peak of one whose "
            f"queue may take {QUEUE_MAX_BYTES / MB:.1f} MB. One thread logs as fast as it can, in the outage for "
            f"{seconds:g} s.",
            rounds=1,
        )


def apart(state: str, dsn: str, seconds: float) -> Figures:
    """The figures of one state, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", state, dsn, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    memory = float(done.stdout)
    bound = QUEUE_MAX_BYTES / MB if state == "under_load" else 0.0
    return {"memory_mb": memory, "beyond_queue_mb": memory - bound}


def at_rest(dsn: str, folder: str, _seconds: float) -> int:
    """Bytes of a handler that has delivered what it was given and keeps its connection."""
    before = resident("VmRSS")
    handlers = [DatabaseLogHandler(dsn, spool_dir=folder) for _ in range(HANDLERS)]
    for handler in handlers:
        log(handler, lambda number: number < 1000)
        handler.flush(30)
    after = resident("VmRSS")
    for handler in handlers:
        handler.close()
    return (after - before) // HANDLERS


def under_load(dsn: str, folder: str, seconds: float) -> int:
    """Bytes at the worst moment of a handler that is given all that one thread can log."""
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    handler = DatabaseLogHandler(dsn, spool_dir=folder)
    end = time.monotonic() + seconds
    log(handler, lambda _: time.monotonic() < end)
    peak = resident("VmHWM")
    handler.close(0.0)
    return peak - before


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
    """Measure one state and print its megabytes."""
    state, dsn, seconds = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        first = DatabaseLogHandler(dsn, spool_dir=folder)
        log(first, lambda number: number < 1000)
        first.close(1.0)
        measure = {"at_rest": at_rest, "under_load": under_load}[state]
        print(measure(dsn, folder, float(seconds)) / MB)


if __name__ == "__main__":
    main()
