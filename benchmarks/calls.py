"""The cost of one logging call in the application's thread."""

import logging
import math
import threading
import time
from array import array
from collections.abc import Iterator
from typing import Literal

from benchmarks import end_to_end, rivals
from benchmarks.kinds import CALLS, KINDS, Call
from benchmarks.measure import Figures, Table, percentile
from benchmarks.run import Run
from dblog import DatabaseLogHandler

NS = 1e-3  # from nanoseconds to microseconds
ENOUGH = 5_000
"""Calls without which a p99.9 is chance."""
LONG = 1.5
"""Seconds in which dblog surely delivers while one thread logs. Each of several may keep the interpreter for 5 ms
whenever it is its turn, so that beside 100 a first batch is on its way for some seconds."""
CONTENDERS = (
    *rivals.BASES,
    *rivals.OURS,
    rivals.EXECUTEMANY,
    rivals.FILE,
    rivals.ROTATING_FILE,
    rivals.LOGURU,
    rivals.INSERT,
)
DELIVERED = "Delivered: what dblog had in the table by then."
QUICK = {1: ("plain", "extra"), 100: ("extra",)}
"""The kinds of call in a quick run, by the number of threads."""

Place = Literal["stored", "spooled"]


def tables(run: Run) -> Iterator[Table]:
    """One table for each kind of call and number of threads; in a quick run two kinds, of 100 threads one."""
    for threads, few in QUICK.items():
        for kind in few if run.quick else CALLS:
            yield Table(
                title(kind, threads),
                {rival.name: run.apart(rival, measure, run.dsn, kind, threads, run.seconds) for rival in CONTENDERS},
                to=rivals.NO_OP.name,
                compare=("p50_us", "p99_us"),
                plot=("p50_us", "p99_us"),
                note=f"{run.seconds:g} seconds of calls, as fast as they can be made, {KINDS[kind]}. {DELIVERED}",
            )


def title(kind: str, threads: int) -> str:
    """The title of the table for that kind of call."""
    return f"Cost of a call, {kind}, {threads} thread{'s'[: threads > 1]}"


def measure(rival: str, dsn: str, kind: str, threads: int, seconds: float) -> Figures:
    """The cost of calls of that kind from so many threads, with a fresh handler and an empty table."""
    end_to_end.empty(dsn)
    with rivals.RIVALS[rival].open(dsn) as logging_calls:
        return time_calls(getattr(logging_calls, kind), threads, seconds)


def time_calls(call: Call, threads: int, seconds: float, place: Place = "stored") -> Figures:
    """How many calls the threads made in that time, and what one costs, after a first one that is not counted.

    Args:
        call: What is called, with a number.
        threads: They begin and stop together.
        seconds: How long they log, each as fast as it can.
        place: Where dblog's records must go meanwhile.

    Raises:
        RuntimeError: dblog has not delivered the first one, or nothing meanwhile, though there was time for that.
    """
    call(0)
    for handler in logging.getLogger(rivals.LOGGER).handlers:
        handler.flush()  # dblog is connected now, or knows that it cannot be
    if not (before := _delivered(place)):
        raise RuntimeError(f"the first record is not {place}")
    durations = make_calls(call, threads, seconds)
    delivered = _delivered(place) - before
    if delivered == 0 and seconds >= LONG and threads == 1:
        raise RuntimeError(f"dblog has {place} nothing while calls were timed")
    ordered = sorted(duration for mine in durations for duration in mine)
    clock = _cost_of_the_clock()
    figures = {
        f"{name}_us": max(percentile(ordered, share) - clock, 0) * NS
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }
    if len(ordered) < ENOUGH:
        figures["p999_us"] = math.nan
    return {**figures, "calls": len(ordered), "delivered": delivered}


def _delivered(place: Place) -> float:
    """How many records dblog's handler has brought there; `math.nan` where another one logs."""
    for handler in logging.getLogger(rivals.LOGGER).handlers:
        if isinstance(handler, DatabaseLogHandler):
            stats = handler.stats()
            return sum((stats.stored if place == "stored" else stats.spooled).values())
    return math.nan


class Window:
    """The time in which calls are made: it begins once all threads are there."""

    def __init__(self, threads: int, seconds: float) -> None:
        self._start = threading.Barrier(threads, self._begin)
        self._seconds = seconds
        self.end = 0

    def wait(self) -> int:
        """Wait for the others; returns when to stop, in nanoseconds of `time.perf_counter_ns`."""
        self._start.wait()
        return self.end

    def _begin(self) -> None:
        self.end = time.perf_counter_ns() + round(self._seconds * 1e9)


def make_calls(call: Call, threads: int, seconds: float) -> list["array[int]"]:
    """The nanoseconds of each call, by thread."""
    window = Window(threads, seconds)
    durations = [array("Q") for _ in range(threads)]
    workers = [threading.Thread(target=_work, args=(call, window, mine)) for mine in durations]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return durations


def _work(call: Call, window: Window, durations: "array[int]") -> None:
    clock = time.perf_counter_ns
    end = window.wait()
    number = after = 0
    while after < end:
        before = clock()
        call(number)
        after = clock()
        durations.append(after - before)
        number += 1


def _cost_of_the_clock() -> float:
    """Nanoseconds that are measured when nothing is called."""
    (durations,) = make_calls(lambda number: None, 1, 0.002)
    return percentile(sorted(durations), 0.5)
