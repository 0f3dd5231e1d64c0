"""How long a process takes to begin: the import, and a command of the command line until its first line."""

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from benchmarks import end_to_end, rivals
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog import DatabaseLogHandler

TITLE = "Start"
NOTHING = "`python -c pass`"
IMPORT = "`import dblog`"
QUERY = "`dblog query`"


def tables(run: Run) -> Iterator[Table]:
    """Processes that each print one line, or nothing."""
    end_to_end.empty(run.dsn)
    _log_one(run.dsn)
    programs = {
        NOTHING: ["-c", "pass"],
        "`import logging`": ["-c", "import logging"],
        IMPORT: ["-c", "import dblog"],
        "`import psycopg`": ["-c", "import psycopg"],
        "`dblog --version`": ["-m", "dblog", "--version"],
        QUERY: ["-m", "dblog", "query", "--dsn", run.dsn],
    }
    yield Table(
        TITLE,
        {name: lambda arguments=arguments: measure(arguments) for name, arguments in programs.items()},  # type: ignore[misc]
        to=NOTHING,
        compare=("first_line_ms",),
        plot=("first_line_ms",),
        note="From the start of the process to its first line, or to its end where it prints nothing.",
        rounds=max(run.rounds, 3 if run.quick else 15),
    )


def measure(arguments: Sequence[str]) -> Figures:
    """One start of the interpreter with these arguments, in a folder without a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, **rivals.PURE, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            process.stdout.readline()
            elapsed = time.perf_counter() - began
            process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}")
    return {"first_line_ms": elapsed * 1e3}


def _log_one(dsn: str) -> None:
    handler = DatabaseLogHandler(dsn, spool_dir="none", close_timeout=30)
    handler.handle(logging.makeLogRecord({"name": "shop.web", "msg": "the shop is open", "levelno": logging.INFO}))
    handler.close()
