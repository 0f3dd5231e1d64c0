"""What dblog wants to reach, on two cores that have nothing else to do."""

from collections.abc import Iterator

from benchmarks import calls, end_to_end, growth, memory, reading, rivals, startup
from benchmarks.kinds import CALLS
from benchmarks.limits import Limit

SIZES = ("10", "50")
"""Million rows that are compared with fewer."""


def _of_a_call(ours: str) -> Iterator[Limit]:
    for threads, p99 in ((1, 10), (100, 100)):
        for table in (calls.title(kind, threads) for kind in CALLS):
            yield Limit(table, ours, "p50_us", rivals.NO_OP.name, at_most=2)
            yield Limit(table, ours, "p99_us", rivals.NO_OP.name, at_most=3)
            yield Limit(table, ours, "p99_us", at_most=p99)
            yield Limit(table, ours, "p50_us", rivals.ROTATING_FILE.name, at_most=1)
            yield Limit(table, ours, "p99_us", rivals.ROTATING_FILE.name, at_most=1)


def _end_to_end(ours: str) -> Iterator[Limit]:
    for table in map(end_to_end.title, end_to_end.ROWS):
        yield Limit(table, ours, "records_per_s", end_to_end.LIMIT, at_least=0.6)
        yield Limit(table, ours, "records_per_s", rivals.EXECUTEMANY.name, at_least=2.5)
        yield Limit(table, ours, "records_per_s", rivals.SQLALCHEMY.name, at_least=3)
        yield Limit(table, ours, "records_per_s", rivals.INSERT.name, at_least=20)
        yield Limit(table, ours, "records_per_s", at_least=100_000)
        yield Limit(table, ours, "records_per_s", end_to_end.LIMIT, at_least=0.75, aim=True)
        yield Limit(table, ours, "records_per_s", rivals.EXECUTEMANY.name, at_least=4, aim=True)
        yield Limit(table, ours, "records_per_s", rivals.SQLALCHEMY.name, at_least=5, aim=True)
        yield Limit(table, ours, "records_per_s", rivals.INSERT.name, at_least=40, aim=True)
        yield Limit(table, ours, "records_per_s", at_least=150_000, aim=True)


def _reading() -> Iterator[Limit]:
    for size in SIZES:
        for newest in (reading.NEWEST, reading.ERRORS):
            yield Limit(newest, size, "again_ms", at_most=20)
        for day in (reading.HISTOGRAM, reading.TEXT, reading.TRIGRAMS):
            yield Limit(day, size, "again_ms", at_most=1000)
        for newest in (reading.NEWEST, reading.ERRORS):  # an index may be a step higher
            yield Limit(newest, size, "buffers", "1", at_most=2)


TARGETS = [
    *(limit for rival in rivals.OURS for limit in (*_of_a_call(rival.name), *_end_to_end(rival.name))),
    Limit(memory.TITLE, memory.AT_REST, "memory_mb", at_most=5),
    *(
        Limit(memory.TITLE, state, "beyond_queue_mb", at_most=15)
        for state in (memory.LOADED, memory.OUTAGE, memory.SILENCE)
    ),
    *(Limit(growth.GROWN, size, "rows_per_s", "0", at_least=0.9) for size in SIZES),
    *_reading(),
    Limit(startup.TITLE, startup.IMPORT, "first_line_ms", at_most=50),
    Limit(startup.TITLE, startup.QUERY, "first_line_ms", at_most=400),
]
