"""Benchmarks are code, too: each of them runs, in its tiniest form, and what it gives can be shown."""

import logging
import math
import os
from array import array
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import calls, outage
from benchmarks.apart import Apart
from benchmarks.command import BENCHMARKS
from benchmarks.measure import Figures, Measured, Table, take_turns
from benchmarks.plots import draw
from benchmarks.report import as_json, as_markdown, heading, number, read
from benchmarks.run import Run
from dblog import DatabaseLogHandler

torture = pytest.mark.torture
QUICK = ("calls", "layers", "end-to-end", "startup")
"""What is measured most, and takes a few seconds; the others are tried with the long tests."""


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """The least that can be measured, on a server of its own."""
    with Run(tiny=True, quick=True, rounds=1, calls=200, records=200, seconds=0.05, rows=(0.001,)) as tiny:
        yield tiny


@pytest.mark.parametrize("name", [each if each in QUICK else pytest.param(each, marks=torture) for each in BENCHMARKS])
def test_every_benchmark_runs(run: Run, name: str) -> None:
    """Each contender of each table gives the figures that its table shows, compares and draws."""
    titles = set()
    for table in BENCHMARKS[name](run):
        measured = take_turns(replace(table, rounds=1), run.rounds)
        titles.add(measured.title)
        assert {*table.compare, *table.plot} <= set(measured.headings)
        assert not table.to or table.to in measured.figures
        assert all(list(rounds[0]) == measured.headings for rounds in measured.figures.values())
        assert f"### {table.title}\n" in as_markdown({}, [measured], {})
    assert titles


def test_an_outage_is_one_before_calls_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls of an outage are those of a handler that spools already, not those before it has noticed."""
    known: list[int] = []

    def make_calls(*_: object) -> list["array[int]"]:
        (handler,) = logging.getLogger("shop.web").handlers
        assert isinstance(handler, DatabaseLogHandler)
        known.append(sum(handler.stats().spooled.values()))
        return [array("Q", [1000])]

    monkeypatch.setattr(calls, "make_calls", make_calls)
    assert outage.measure_calls(outage.REFUSING, "spooled", 0.05)["calls"] == 1
    assert known[0] == 1


def table(**figures: list[float]) -> Measured:
    """A table with one figure."""
    rounds = {name: [{"p50_us": value} for value in values] for name, values in figures.items()}
    return Measured("Cost", rounds, to="slow", compare=["p50_us"], plot=["p50_us"])


def test_contenders_take_turns_in_an_order_that_changes() -> None:
    """The one that was last begins the next round, so that none always comes after the same other one."""
    order: list[str] = []

    def contender(name: str) -> Figures:
        order.append(name)
        return {"turns": len(order)}

    measured = take_turns(Table("Turns", {name: lambda name=name: contender(name) for name in "abc"}), 2)  # type: ignore[misc]
    assert order == ["a", "b", "c", "c", "b", "a"]
    assert measured.values("a", "turns") == [1, 6]


def test_figures_are_kept_as_json_and_several_runs_add_up(tmp_path: Path) -> None:
    """What was written is read as it was; the rounds of two runs of a table are together."""
    first, second = table(dblog=[1.0], slow=[3.0]), table(dblog=[2.0], slow=[3.0])
    for name, each in (("first", first), ("second", second)):
        (tmp_path / name).write_text(as_json({"cores": "2"}, [each]), encoding="utf-8")
    assert read([tmp_path / "first"]) == ({"cores": "2"}, [first])
    assert read([tmp_path / "first", tmp_path / "second"])[1][0].values("dblog", "p50_us") == [1.0, 2.0]


def test_a_table_shows_median_spread_and_ratio() -> None:
    """A row has the median with the smallest and the largest value, and how many times another one's that is."""
    shown = as_markdown({"cores": "2"}, [table(dblog=[1.0, 2.0, 9.0], slow=[4.0, 4.0, 4.0])], {"Cost": "cost.svg"})
    assert "| contender | p50, µs | p50, times slow's |" in shown
    assert "| dblog | 2 (1 to 9) | 0.50 |" in shown
    assert "![Cost](cost.svg)" in shown


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        ("p999_us", "p99.9, µs"),
        ("records_per_s", "records a second"),
        ("mb_per_s", "MB/s"),
        ("peak_mb", "peak, MB"),
        ("bytes_per_row", "bytes per row"),
        ("buffers", "buffers"),
    ],
)
def test_headings_name_the_unit(figure: str, shown: str) -> None:
    """The ending of a figure's name is shown as its unit."""
    assert heading(figure) == shown


def test_numbers_have_the_digits_that_mean_something() -> None:
    """Large numbers have no decimals, small ones have, and what was not measured is a dash."""
    values = (123456.7, 12.34, 1.234, 0.12, 0.0999, 0.00123, 0, math.nan)
    assert [number(each) for each in values] == ["123,457", "12.3", "1.23", "0.12", "0.100", "0.0012", "0", "-"]


def test_plots_are_the_same_for_the_same_figures(tmp_path: Path) -> None:
    """Bars and lines are drawn as SVG, and a second time the file is the same, byte by byte."""
    bars = table(dblog=[1.0, 2.0], slow=[3.0, 4.0])
    lines = Measured(
        "Growth", {"0": [{"rows_per_s": 3.0}], "10": [{"rows_per_s": 2.0}]}, plot=("rows_per_s",), axis="million rows"
    )
    drawn = [draw([bars, lines], tmp_path / name) for name in ("first", "second")]
    assert [path.name for path in drawn[0].values()] == ["cost.svg", "growth.svg"]
    for title, path in drawn[0].items():
        assert path.read_bytes() == drawn[1][title].read_bytes()


def test_a_contender_has_an_interpreter_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees the variables that were meant for it, which this process does not get, and gives back figures."""
    monkeypatch.delenv("DBLOG_SPEEDUPS", raising=False)
    with closing(Apart({"DBLOG_SPEEDUPS": "0"})) as apart:
        assert apart.call(os.getenv, "DBLOG_SPEEDUPS") == "0"
        assert apart.call(os.getpid) != os.getpid()
    assert "DBLOG_SPEEDUPS" not in os.environ


def test_a_contender_that_fails_ends_the_run() -> None:
    """A measurement that raises is no figure: the run ends with an error that names it."""
    with closing(Apart({})) as apart, pytest.raises(RuntimeError, match="rmdir"):
        apart.call(os.rmdir, "/")
