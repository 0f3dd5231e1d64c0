"""From the call to the screen: how long until `dblog tail -f` shows what another process logs."""

import logging
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import IO, Final

from benchmarks import rivals
from benchmarks.loading import loaded
from benchmarks.measure import Figures, Table, percentile
from benchmarks.run import Run
from dblog import DatabaseLogHandler

DEFAULT, SHORT = "0.5", "0.1"
"""Seconds between two looks of `dblog tail -f`; the first is its default."""
COMMAND: Final = "`dblog tail -f --interval {}`"
READERS: Final = {
    COMMAND.format(DEFAULT): (DEFAULT, logging.INFO),
    COMMAND.format(SHORT): (SHORT, logging.INFO),
    "`dblog tail -f`, an error": (DEFAULT, logging.ERROR),
}
"""The interval of the reader, and the level of what is logged."""
PAUSE: Final = 1.0
"""Seconds before a record, at most: as long as a batch may wait, so that no record is in step with anything."""


def tables(run: Run) -> Iterator[Table]:
    """One table: the intervals at which `dblog tail -f` looks, and an error, over the largest table of the run."""
    dsn = loaded(run.server, max(run.rows))
    records = 2 if run.quick else 40
    yield Table(
        "From the call to the screen",
        {name: run.inside(rivals.DBLOG, measure, dsn, *how, records) for name, how in READERS.items()},
        plot=("p50_ms", "max_ms"),
        rounds=1,
        note=f"{records} records, each after a random pause of up to {PAUSE:g} s, by a handler with its defaults: a"
        " record waits for its batch to be sent, an error a tenth of a second at most, then for the next look of the"
        " reader.",
    )


def measure(dsn: str, interval: str, level: int, records: int) -> Figures:
    """How long records of that level take to a reader who looks at that interval."""
    pauses = random.Random(records)
    command = [sys.executable, "-m", "dblog", "tail", "-f", "--interval", interval, "--dsn", dsn]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader,
        closing(DatabaseLogHandler(dsn)) as handler,
        rivals.logger_with(handler) as logger,
    ):
        if reader.stdout is None:
            raise RuntimeError("the reader has no output")
        try:
            _wait(logger, level, reader.stdout)  # until both are connected
            waits = []
            for _ in range(records):
                time.sleep(pauses.uniform(0, PAUSE))
                waits.append(_wait(logger, level, reader.stdout))
        finally:
            reader.terminate()
    return {"p50_ms": percentile(sorted(waits), 0.5) / 1e6, "max_ms": max(waits) / 1e6}


def _wait(logger: logging.Logger, level: int, screen: IO[str]) -> int:
    """Log a record and wait until it is shown; returns nanoseconds."""
    mark = uuid.uuid4().hex
    began = time.perf_counter_ns()
    logger.log(level, "mark %s", mark)
    for line in screen:
        if mark in line:
            return time.perf_counter_ns() - began
    raise RuntimeError("the reader has ended")
