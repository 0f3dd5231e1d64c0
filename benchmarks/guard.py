"""Whether something has become slower by a factor: ratios from a short run, with limits that noise does not reach."""

from collections.abc import Iterator

from benchmarks import calls, end_to_end, rivals
from benchmarks.limits import Limit
from benchmarks.measure import Measured, Table, take_turns
from benchmarks.report import number
from benchmarks.run import Run

ROUNDS = 5
SECONDS = 0.2
RECORDS = 50_000
_CALL = calls.title("extra", 1)
_PLAIN = calls.title("plain", 1)
_EXCEPTION = calls.title("exception", 1)
_STORED = end_to_end.title("extra")
# Three times executemany's rate when the machine is quiet, but that shrinks when the server has to share its core: the
# processor time of the application's process hardly does, so that its limit is the closer one.
LIMITS = [
    Limit(_CALL, rivals.DBLOG.name, "p50_us", rivals.NO_OP.name, at_most=3),
    Limit(_CALL, rivals.DBLOG.name, "p50_us", rivals.ROTATING_FILE.name, at_most=1),
    Limit(_EXCEPTION, rivals.DBLOG.name, "p50_us", rivals.ROTATING_FILE.name, at_most=0.5),
    Limit(_STORED, rivals.DBLOG.name, "records_per_s", rivals.EXECUTEMANY.name, at_least=1),
    Limit(_STORED, rivals.DBLOG.name, "process_cpu_us", rivals.EXECUTEMANY.name, at_most=0.75),
]
COMPILED = Limit(_PLAIN, rivals.DBLOG_FAST.name, "p50_us", rivals.DBLOG.name, at_most=1.25)
"""Where the accelerator is installed, it must not make the call slower; noise may."""
_CALLS: dict[str, tuple[rivals.Rival, ...]] = {
    "extra": (rivals.NO_OP, rivals.DBLOG, rivals.ROTATING_FILE),
    "exception": (rivals.DBLOG, rivals.ROTATING_FILE),
}


def guard(rounds: int = ROUNDS) -> int:
    """Measure, print a line for each ratio, and return the exit code: 1 when one is beyond its limit."""
    with Run(rounds=rounds, records=RECORDS, seconds=SECONDS) as run:
        measured = [take_turns(table, rounds) for table in tables(run)]
    return judge(measured, limits())


def limits() -> list[Limit]:
    """What must hold here."""
    return [*LIMITS, COMPILED] if rivals.SPEEDUPS else LIMITS


def judge(measured: list[Measured], limits: list[Limit]) -> int:
    """Hold the figures against the limits, in a line each; returns the exit code."""
    found = {table.title: table for table in measured}
    failed = False
    for limit in limits:
        value = limit.value(found)
        kept = value is not None and limit.is_kept_by(value)
        failed = failed or not kept
        shown = "not measured" if value is None else number(value)
        print(f"{'ok' if kept else 'FAILED'}: {limit}: {shown}, limit {limit.bounds}")
    return int(failed)


def tables(run: Run) -> Iterator[Table]:
    """What the ratios are taken from."""
    for kind, contenders in _CALLS.items():
        yield _calls(run, kind, contenders)
    if rivals.SPEEDUPS:
        yield _calls(run, "plain", (rivals.DBLOG, rivals.DBLOG_FAST))
    stores = (rivals.DBLOG, rivals.EXECUTEMANY)
    yield Table(
        _STORED,
        {each.name: run.apart(each, end_to_end.measure, run.dsn, "extra", run.records, run.seconds) for each in stores},
        rounds=3,  # they take the longest
    )


def _calls(run: Run, kind: str, contenders: tuple[rivals.Rival, ...]) -> Table:
    measured = {each.name: run.apart(each, calls.measure, run.dsn, kind, 1, run.seconds) for each in contenders}
    return Table(calls.title(kind, 1), measured)
