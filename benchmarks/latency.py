"""From the call to the screen: how long until `dblog tail -f` shows what another process logs."""

import logging
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import IO, Final

from benchmarks import rivals
from benchmarks.loading import loaded
from benchmarks.measure import Figures, Table, percentile
from benchmarks.run import Run
from dblog import DatabaseLogHandler

INTERVALS: Final = ("0.5", "0.1")
"""Seconds between two looks of `dblog tail -f`; the first is its default."""


def tables(run: Run) -> Iterator[Table]:
    """One table: the intervals at which `dblog tail -f` looks, over the largest table of the run."""
    dsn = loaded(run.server, max(run.rows))
    records = 2 if run.quick else 20
    yield Table(
        "From the call to the screen",
        {f"dblog tail -f --interval {interval}": partial(_measure, dsn, interval, records) for interval in INTERVALS},
        plot=("p50_ms",),
        rounds=1 if run.quick else 2,
        note=f"{records} records, one after the other, by a handler with its defaults: each waits for its batch to be"
        " sent, then for the next look of the reader.",
    )


def _measure(dsn: str, interval: str, records: int) -> Figures:
    command = [sys.executable, "-m", "dblog", "tail", "-f", "--interval", interval, "--dsn", dsn]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader,
        closing(DatabaseLogHandler(dsn)) as handler,
        rivals.logger_with(handler) as logger,
    ):
        if reader.stdout is None:
            raise RuntimeError("the reader has no output")
        try:
            _wait(logger, reader.stdout)  # until both are connected
            waits = sorted(_wait(logger, reader.stdout) for _ in range(records))
        finally:
            reader.terminate()
    return {"p50_ms": percentile(waits, 0.5) / 1e6, "p99_ms": percentile(waits, 0.99) / 1e6}


def _wait(logger: logging.Logger, screen: IO[str]) -> int:
    """Log a record and wait until it is shown; returns nanoseconds."""
    mark = uuid.uuid4().hex
    began = time.perf_counter_ns()
    logger.info("mark %s", mark)
    for line in screen:
        if mark in line:
            return time.perf_counter_ns() - began
    raise RuntimeError("the reader has ended")
