"""From the first logging call to the last commit: how many records a second reach the table."""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks import copying, rivals
from benchmarks.kinds import KINDS, Call
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog.defaults import QUEUE_MAX_BYTES

CONTENDERS = (
    rivals.NO_OP,
    *rivals.OURS,
    rivals.DBLOG_DEFAULTS,
    rivals.EXECUTEMANY,
    rivals.SQLALCHEMY,
    rivals.INSERT,
)
LIMIT = f"the limit: {copying.METHOD} of the same rows"
ROWS = ("extra", "plain", "line")
QUEUE, BOUND = (f"{size >> 20:,} MiB" for size in (rivals.QUEUE_BYTES, QUEUE_MAX_BYTES))
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers")


def tables(run: Run) -> Iterator[Table]:
    """One table for each kind of row; a quick run has but the first."""
    for kind in ROWS[:1] if run.quick else ROWS:
        if kind == "line" and not run.corpus:
            print("  NO REAL LINES: DBLOG_CORPUS names no folder with *.log files", file=sys.stderr, flush=True)
            continue
        run.apart(rivals.OURS[-1], measure, run.dsn, kind, run.records, math.inf)()
        with copying.rows_in_a_file(run.dsn) as path:
            measurements = {
                rival.name: run.apart(rival, measure, run.dsn, kind, run.records, run.seconds) for rival in CONTENDERS
            }
            yield Table(
                title(kind),
                {**measurements, LIMIT: lambda path=path: copy(run.dsn, path, run.records)},  # type: ignore[misc]
                to=LIMIT,
                compare=("records_per_s",),
                plot=("records_per_s",),
                note=f"{run.records:,} records, {KINDS[kind]}. {_settings(run.dsn)}. dblog's queue may take {QUEUE}, as"
                f" the others' have no bound; with all defaults it is {BOUND}, and what does not fit goes through the"
                f" spool. What commits each record was stopped after {run.seconds:g} seconds. The no-op handler stores"
                " nothing: faster one thread cannot log.",
            )


def title(kind: str) -> str:
    """The title of the table for that kind of row."""
    return f"End to end, {kind}"


def measure(rival: str, dsn: str, kind: str, records: int, seconds: float) -> Figures:
    """The rate at which records reach an empty table through a fresh handler.

    Args:
        rival: Whose handler.
        dsn: The connection string.
        kind: The kind of call.
        records: How many are logged.
        seconds: When to stop a handler that commits in the call; the others get all records.
    """
    empty(dsn)
    with rivals.RIVALS[rival].open(dsn) as calls:
        cpu, began = time.process_time(), time.perf_counter()
        logged = log(getattr(calls, kind), records, seconds if rival == rivals.INSERT.name else math.inf)
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    if rival != rivals.NO_OP.name:
        check(dsn, logged)
    return {"records_per_s": logged / elapsed, "process_cpu_us": cpu / logged * 1e6}


def copy(dsn: str, path: Path, records: int) -> Figures:
    """The rate of the limit."""
    empty(dsn)
    elapsed = copying.seconds_of_copy(dsn, path)
    check(dsn, records)
    return {"records_per_s": records / elapsed, "process_cpu_us": math.nan}


def log(call: Call, records: int, seconds: float = math.inf) -> int:
    """Log that many records, or as many as the seconds allow; returns their number."""
    deadline = time.perf_counter() + seconds
    for number in range(records):
        call(number)
        if not number % 100 and time.perf_counter() > deadline:
            return number + 1
    return records


def empty(dsn: str) -> None:
    """Begin with empty tables, and with nothing that the server still has to write."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE dblog_logs, dblog_batches")
        connection.execute("CHECKPOINT")


def check(dsn: str, records: int) -> None:
    """Make sure that what was measured has happened."""
    with psycopg.connect(dsn) as connection:
        stored = connection.execute("SELECT count(*) FROM dblog_logs WHERE logger_name <> 'dblog'").fetchone()
    if stored != (records,):
        raise RuntimeError(f"{records} records were logged, but {stored} rows are there")


def _settings(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        version = connection.info.parameter_status("server_version")
        rows = connection.execute(
            "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name", [list(SETTINGS)]
        )
        return f"PostgreSQL {version}: " + ", ".join(f"{name} {value}" for name, value in rows)
