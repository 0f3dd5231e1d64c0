"""Whether something has become slower by a factor: ratios from a short run, with limits that noise does not reach."""

from collections.abc import Iterator

from benchmarks import calls, end_to_end, rivals
from benchmarks.limits import Limit
from benchmarks.measure import Measured, Table, take_turns
from benchmarks.run import Run

ROUNDS = 7
CALLS = 2_000
RECORDS = 10_000
_CALL = calls.title("extra", 1)
_STORED = end_to_end.title("extra")
# Three times executemany's rate when the machine is quiet, but that shrinks when the server has to share its core: the
# processor time of the application's process hardly does, so that its limit is the closer one.
LIMITS = [
    Limit(_CALL, rivals.DBLOG.name, "p50_us", rivals.NO_OP.name, at_most=3),
    Limit(_CALL, rivals.DBLOG.name, "p50_us", rivals.ROTATING_FILE.name, at_most=1),
    Limit(_STORED, rivals.DBLOG.name, "records_per_s", rivals.EXECUTEMANY.name, at_least=1),
    Limit(_STORED, rivals.DBLOG.name, "process_cpu_us", rivals.EXECUTEMANY.name, at_most=0.75),
]


def guard(rounds: int = ROUNDS) -> int:
    """Measure, print a line for each ratio, and return the exit code: 1 when one is beyond its limit."""
    with Run(rounds=rounds, calls=CALLS, records=RECORDS) as run:
        measured = [take_turns(table, rounds) for table in _tables(run)]
    return judge(measured)


def judge(measured: list[Measured]) -> int:
    """Hold the figures against the limits, in a line each; returns the exit code."""
    tables = {table.title: table for table in measured}
    failed = False
    for limit in LIMITS:
        value = limit.value(tables)
        kept = value is not None and limit.is_kept_by(value)
        failed = failed or not kept
        shown = "not measured" if value is None else f"{value:.2f}"
        print(f"{'ok' if kept else 'FAILED'}: {limit}: {shown}, limit {limit.bounds}")
    return int(failed)


def _tables(run: Run) -> Iterator[Table]:
    callers = (rivals.NO_OP, rivals.DBLOG, rivals.ROTATING_FILE)
    yield Table(
        _CALL, {each.name: run.apart(each, calls.measure, run.dsn, "extra", 1, run.calls, run.slow) for each in callers}
    )
    stores = (rivals.DBLOG, rivals.EXECUTEMANY)
    yield Table(
        _STORED,
        {each.name: run.apart(each, end_to_end.measure, run.dsn, "extra", run.records, run.slow) for each in stores},
    )
