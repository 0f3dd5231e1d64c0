"""What a logging call costs when the record must be in a file before the call returns."""

from collections.abc import Iterator

from benchmarks import calls, rivals
from benchmarks.measure import Table
from benchmarks.run import Run

CONTENDERS = (rivals.DBLOG, rivals.DBLOG_JOURNAL, rivals.ROTATING_FILE)


def tables(run: Run) -> Iterator[Table]:
    """One table for each number of threads."""
    for threads in (1, 16):
        yield Table(
            f"Cost of a call with a journal, {threads} thread{'s'[: threads > 1]}",
            {
                rival.name: run.apart(rival, calls.measure, run.dsn, "extra", threads, run.seconds)
                for rival in CONTENDERS
            },
            to=rivals.DBLOG_JOURNAL.name,
            compare=("p50_us", "p99_us"),
            note=f"{run.seconds:g} seconds of calls, as fast as they can be made, with `extra` of two values. The file"
            f" handler leaves these out. {calls.DELIVERED}",
        )
