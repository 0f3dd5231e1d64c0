"""Where the time of a record goes: the processor time up to each step of its way, the steps before it included."""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from benchmarks import end_to_end, rivals
from benchmarks.kinds import CALLS, KINDS, Calls
from benchmarks.measure import Figures, Table
from benchmarks.run import Run
from dblog.defaults import MASK_KEYS, MAX_FIELD_BYTES
from dblog.writing.row import RowEncoder
from dblog.writing.speedups import load

ALONE = "`logging` alone"
ENCODED = "the line is encoded"
QUEUED = "the line is in the queue"
STORED = "the row is in the table"


class Nothing(logging.Handler):
    """Is given the record, and that is all."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Leave it alone, without the lock that a handler takes otherwise."""
        return True


class Encoding(logging.Handler):
    """Encodes records and forgets them."""

    def __init__(self) -> None:
        super().__init__()
        rows = RowEncoder(service=None, hostname="web-1", max_field_bytes=MAX_FIELD_BYTES, mask_keys=MASK_KEYS)
        speedups = load()
        self._rows = rows
        self._compiled = rows.compiled(speedups).encode if speedups else None

    def handle(self, record: logging.LogRecord) -> bool:
        """Encode it: in Python, or compiled where that can be."""
        if self._compiled is None or self._compiled(record) is None:
            self._rows.encode(record)
        return True


def tables(run: Run) -> Iterator[Table]:
    """A table for each kind of call."""
    for kind in CALLS:
        yield Table(
            f"Where the time goes, {kind}",
            {
                ALONE: run.apart(rivals.NO_OP, measure, ALONE, run.dsn, kind, run.calls),
                **{
                    f"{rival.name}: {step}": run.apart(rival, measure, step, run.dsn, kind, run.calls)
                    for rival in rivals.OURS[:2]
                    for step in (ENCODED, QUEUED, STORED)
                },
            },
            to=ALONE,
            compare=("cpu_us",),
            note=f"Processor time of a call, the mean of {run.calls:,} from one thread, {KINDS[kind]}; in the last step"
            " that of the whole process, until all is committed.",
        )


def measure(rival: str, step: str, dsn: str, kind: str, calls: int) -> Figures:
    """The processor time that a record has taken up to that step."""
    end_to_end.empty(dsn)
    clock = time.process_time if step == STORED else time.thread_time
    with _opened(rival, step, dsn) as logging_calls:
        call = getattr(logging_calls, kind)
        end_to_end.log(call, 100)  # a line of code that has logged before
        began = clock()
        end_to_end.log(call, calls)
        if step != STORED:
            return {"cpu_us": (clock() - began) / calls * 1e6}
    return {"cpu_us": (clock() - began) / calls * 1e6}


def _opened(rival: str, step: str, dsn: str) -> AbstractContextManager[Calls]:
    if step in (ALONE, ENCODED):
        return rivals.direct(Nothing() if step == ALONE else Encoding())
    return rivals.RIVALS[rival].open(dsn)
