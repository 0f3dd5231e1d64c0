"""Measuring side by side: contenders take turns, and what is told of each is its median and spread over the rounds.

A benchmark is a module with a generator `tables(run: Run) -> Iterator[Table]`, which is entered in `BENCHMARKS` of
`command.py`. Each table is measured before the generator goes on, so that what a table needs can be made before the
`yield` and taken away after it. A table has contenders by name, each a function that measures once and returns its
figures. All contenders of a table give the same figures, `math.nan` where one has none.

A figure is named with its unit at the end: `_us`, `_ms`, `_s`, `_mb`, `_kb`, `_percent`, `_per_s`, `_mb_per_s`,
`bytes_per_row`; without one it is a plain number, such as `buffers`.
"""

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

Figures = dict[str, float]
Contender = Callable[[], Figures]


@dataclass(frozen=True)
class Table:
    """What is measured side by side.

    Args:
        title: The heading, and the name of the plot's file; no other table has it.
        contenders: What each name measures, once a round.
        to: The contender that the others are compared with; empty: none.
        compare: The figures whose ratio to that contender's has a column.
        plot: The figures that are drawn; empty: no plot.
        axis: Where given, the names are numbers along this axis, and lines are drawn instead of bars.
        note: What must be known of the figures.
        rounds: How often; None: as often as the run says.
    """

    title: str
    contenders: Mapping[str, Contender]
    to: str = ""
    compare: tuple[str, ...] = ()
    plot: tuple[str, ...] = ()
    axis: str = ""
    note: str = ""
    rounds: int | None = None


@dataclass(frozen=True)
class Measured:
    """A table's figures: for each contender a list entry for each round."""

    title: str
    figures: dict[str, list[Figures]]
    to: str = ""
    compare: Sequence[str] = ()
    plot: Sequence[str] = ()
    axis: str = ""
    note: str = ""

    @property
    def headings(self) -> list[str]:
        """The names of the figures."""
        return list(next(iter(self.figures.values()))[0])

    def with_rounds_of(self, other: "Measured") -> "Measured":
        """The same table with the rounds of another run of it, too.

        Raises:
            ValueError: The other run had other contenders or figures.
        """
        if other.figures.keys() != self.figures.keys() or other.headings != self.headings:
            raise ValueError(f"{self.title!r} has other contenders or figures than before")
        return replace(self, figures={name: rounds + other.figures[name] for name, rounds in self.figures.items()})

    def values(self, contender: str, figure: str) -> list[float]:
        """The values of all rounds."""
        return [each[figure] for each in self.figures[contender]]

    def median(self, contender: str, figure: str) -> float:
        """The median over the rounds in which there was a value; `math.nan` where there was none."""
        known = [value for value in self.values(contender, figure) if not math.isnan(value)]
        return statistics.median(known) if known else math.nan

    def ratio(self, contender: str, other: str, figure: str) -> float:
        """How many times the other's figure: the median over the rounds, in each of which both were measured."""
        pairs = zip(self.values(contender, figure), self.values(other, figure), strict=True)
        ratios = [mine / theirs for mine, theirs in pairs if theirs]
        return statistics.median([ratio for ratio in ratios if not math.isnan(ratio)] or [math.nan])


def take_turns(table: Table, rounds: int) -> Measured:
    """Run every contender once a round, in an order that changes, so that a drift of the machine hits all alike."""
    figures: dict[str, list[Figures]] = {name: [] for name in table.contenders}
    for number in range(table.rounds or rounds):
        names = list(table.contenders)
        for name in names if number % 2 == 0 else reversed(names):
            print(f"  {table.title}, round {number + 1}: {name}", file=sys.stderr, flush=True)
            figures[name].append(table.contenders[name]())
    return Measured(table.title, figures, table.to, list(table.compare), list(table.plot), table.axis, table.note)


def percentile(ordered: list[int], share: float) -> float:
    """The value below which `share` (0 to 1) of the ordered values lie."""
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])
