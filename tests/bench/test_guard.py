"""The guard lets noise pass and catches a factor."""

import pytest

from benchmarks import guard, rivals
from benchmarks.guard import COMPILED, LIMITS, judge
from benchmarks.limits import Limit, verdicts
from benchmarks.measure import Measured
from benchmarks.run import Run


def measured(limit: Limit, value: float) -> Measured:
    """A table in which the limit's ratio has that value."""
    return Measured(limit.table, {limit.contender: [{limit.figure: value}], limit.to: [{limit.figure: 1.0}]})


def within(limit: Limit) -> float:
    """A value that keeps to a limit, on the edge of it."""
    return limit.at_most if limit.at_most is not None else limit.at_least or 0.0


@pytest.mark.parametrize("limit", [*LIMITS, COMPILED], ids=str)
def test_the_guard_fails_beyond_a_limit(limit: Limit, capsys: pytest.CaptureFixture[str]) -> None:
    """On the limit the exit code is 0, beyond it 1, with a line that names the ratio and the limit."""
    edge = within(limit)
    assert judge([measured(limit, edge)], [limit]) == 0
    assert capsys.readouterr().out.startswith("ok: ")
    assert judge([measured(limit, edge * 1.5 if limit.at_most else edge / 1.5)], [limit]) == 1
    assert capsys.readouterr().out.startswith(f"FAILED: {limit}: ")


def test_the_guard_fails_when_something_was_not_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """A ratio that is not there is no pass."""
    assert judge([], LIMITS) == 1
    assert capsys.readouterr().out.count("not measured") == len(LIMITS)


def test_the_guard_watches_the_pure_python_way() -> None:
    """What it holds against the limits is dblog without its accelerator, which not everybody has."""
    assert {limit.contender for limit in LIMITS} == {rivals.DBLOG.name}
    assert rivals.DBLOG.environment == {"DBLOG_SPEEDUPS": "0"}


def test_the_guard_watches_the_accelerator_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without it has one limit less, and the guard of one with it measures what the limit needs."""
    monkeypatch.setattr(rivals, "SPEEDUPS", False)
    assert COMPILED not in guard.limits()
    monkeypatch.setattr(rivals, "SPEEDUPS", True)
    with Run(tiny=True) as run:
        tables = {table.title: table for table in guard.tables(run)}
    for limit in guard.limits():
        assert {limit.contender, limit.to} <= tables[limit.table].contenders.keys()


def test_a_verdict_says_whether_a_target_is_met() -> None:
    """Of each target and each aim that was measured there is a row with the limit, the figure and the verdict."""
    table = Measured("Cost", {"dblog": [{"p50_us": 9.0}], "file": [{"p50_us": 6.0}]})
    limits = [
        Limit("Cost", "dblog", "p50_us", at_most=10),
        Limit("Cost", "dblog", "p50_us", "file", at_most=1),
        Limit("Cost", "dblog", "p50_us", at_most=5, aim=True),
        Limit("Memory", "dblog", "peak_mb", at_most=5),
    ]
    _, _, met, missed, not_yet = verdicts(limits, [table]).splitlines()
    assert met == "| Cost: dblog, p50, µs | target | at most 10 | 9 | met |"
    assert missed == "| Cost: dblog, p50, µs, times file's | target | at most 1 | 1.50 | **missed** |"
    assert not_yet == "| Cost: dblog, p50, µs | aim | at most 5 | 9 | not yet |"
