"""How calls are timed: all threads for the same time, and nothing is told that chance decides."""

import logging
import math
import threading
import traceback
from array import array
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import calls, rivals
from benchmarks.raising import DEPTHS, DIFFERENT, different_errors
from dblog import DatabaseLogHandler


def test_all_threads_call_within_the_same_time() -> None:
    """Nobody calls before all are there, each calls at least once, and the calls that are counted are those made."""
    ready: list[int] = []

    def call(number: int) -> None:
        ready.append(threading.active_count())

    before = threading.active_count()
    made = calls.make_calls(call, 5, 0.01)
    assert len(made) == 5
    assert all(made)
    assert sum(map(len, made)) == len(ready)
    assert ready[0] == before + 5


@pytest.mark.parametrize(("count", "shown"), [(calls.ENOUGH - 1, False), (calls.ENOUGH, True)])
def test_a_rare_percentile_needs_many_calls(count: int, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A p99.9 of fewer than 5,000 calls is not told, the others are, and so is the number of calls."""
    monkeypatch.setattr(calls, "make_calls", lambda *_: [array("Q", [1000]) * count])
    figures = calls.time_calls(lambda number: None, 1, 0.01)
    assert figures["calls"] == count
    assert math.isnan(figures["p999_us"]) is not shown
    assert not math.isnan(figures["p99_us"])


def test_a_handler_that_delivers_nothing_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of a dblog that brings nothing to its place, at first or meanwhile, are an error and no figure."""
    monkeypatch.setattr(calls, "make_calls", lambda *_: [array("Q", [1000])])
    handler = DatabaseLogHandler("host=127.0.0.1 port=1", spool_dir=tmp_path)
    with closing(handler), rivals.logger_with(handler) as logger:
        with pytest.raises(RuntimeError, match="the first record is not stored"):
            calls.time_calls(lambda number: logger.info("%d", number), 1, calls.LONG)
        with pytest.raises(RuntimeError, match="has spooled nothing"):
            calls.time_calls(lambda number: None, 1, calls.LONG, "spooled")


def test_exceptions_come_from_many_places() -> None:
    """There are fifty, of all depths, no two share a function, and their tracebacks show the lines of the source."""
    errors = different_errors()
    frames = [traceback.extract_tb(error.__traceback__)[1:] for error in errors]
    assert {1 + len(each) for each in frames} == set(DEPTHS)
    names = [frame.name for each in frames for frame in each]
    assert len(errors) == DIFFERENT
    assert len(set(names)) == len(names)
    assert frames[0][-1].line == 'raise ValueError(f"order {order} was refused")'
    assert logging.Formatter().formatException((type(errors[0]), errors[0], errors[0].__traceback__)).count("\n") > 4
