"""The cost of one logging call in the application's thread."""

import threading
import time
from collections.abc import Callable, Iterator

import psycopg

from benchmarks import rivals
from benchmarks.kinds import CALLS, KINDS
from benchmarks.measure import Figures, Table, percentile
from benchmarks.run import Run

NS = 1e-3  # from nanoseconds to microseconds
CONTENDERS = (
    rivals.NO_OP,
    *rivals.OURS,
    rivals.EXECUTEMANY,
    rivals.FILE,
    rivals.ROTATING_FILE,
    rivals.LOGURU,
    rivals.INSERT,
)
QUICK = {1: ("plain", "extra"), 100: ("extra",)}
"""The kinds of call in a quick run, by the number of threads."""

Call = Callable[[int], None]


def tables(run: Run) -> Iterator[Table]:
    """One table for each kind of call and number of threads; in a quick run two kinds, of 100 threads one."""
    for threads, calls in ((1, run.calls), (100, 10 * run.calls)):  # enough for what is rare in each thread to be rare
        for kind in QUICK[threads] if run.quick else CALLS:
            yield Table(
                title(kind, threads),
                {
                    rival.name: run.apart(rival, measure, run.dsn, kind, threads, calls, run.slow)
                    for rival in CONTENDERS
                },
                to=rivals.NO_OP.name,
                compare=("p50_us", "p99_us"),
                plot=("p50_us", "p99_us"),
                note=f"{calls:,} calls, at most {run.slow:g} seconds, {KINDS[kind]}, as fast as they can be made.",
            )


def title(kind: str, threads: int) -> str:
    """The title of the table for that kind of call."""
    return f"Cost of a call, {kind}, {threads} thread{'s'[: threads > 1]}"


def measure(rival: str, dsn: str, kind: str, threads: int, calls: int, seconds: float) -> Figures:
    """The cost of calls of that kind, spread over threads, with a fresh handler and an empty table."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE dblog_logs, dblog_batches")
    with rivals.RIVALS[rival].open(dsn) as logging_calls:
        return time_calls(getattr(logging_calls, kind), threads, calls, seconds)


def time_calls(call: Call, threads: int, calls: int, seconds: float = 60.0) -> Figures:
    """The cost of `calls` calls, spread over threads that log as fast as they can, for at most so many seconds."""
    durations: list[list[int]] = [[] for _ in range(threads)]
    start = threading.Barrier(threads)
    workers = [
        threading.Thread(target=_work, args=(call, calls // threads, seconds, start, mine)) for mine in durations
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ordered = sorted(duration for mine in durations for duration in mine)
    clock = _cost_of_the_clock()
    return {
        f"{name}_us": max(percentile(ordered, share) - clock, 0) * NS
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }


def _work(call: Call, calls: int, seconds: float, start: threading.Barrier, durations: list[int]) -> None:
    clock = time.perf_counter_ns
    start.wait()
    deadline = clock() + seconds * 1e9
    for number in range(calls):
        before = clock()
        call(number)
        after = clock()
        durations.append(after - before)
        if after > deadline:
            break


def _cost_of_the_clock(rounds: int = 1001) -> float:
    """Nanoseconds that are measured when nothing is called."""
    durations: list[int] = []
    _work(lambda number: None, rounds, 1.0, threading.Barrier(1), durations)
    return percentile(sorted(durations), 0.5)
