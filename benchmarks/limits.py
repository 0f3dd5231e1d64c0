"""Figures of the tables set against limits: a figure itself, or its ratio to another contender's of the same table."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measure import Measured
from benchmarks.report import heading, number


@dataclass(frozen=True)
class Limit:
    """What a figure, or its ratio to another contender's, has to keep to.

    Args:
        table: The table's title.
        contender: Whose figure.
        figure: Which one.
        to: The contender whose figure it is divided by; empty: the figure itself counts.
        at_most: The largest value that is well; None: any.
        at_least: The smallest value that is well; None: any.
        aim: True for what would be fine to reach, False for what has to be.
    """

    table: str
    contender: str
    figure: str
    to: str = ""
    at_most: float | None = None
    at_least: float | None = None
    aim: bool = False

    def value(self, tables: Mapping[str, Measured]) -> float | None:
        """What was measured; None where the table or the contender was not."""
        table = tables.get(self.table)
        if table is None or not {self.contender, self.to or self.contender} <= table.figures.keys():
            return None
        if self.to:
            return table.ratio(self.contender, self.to, self.figure)
        return table.median(self.contender, self.figure)

    def is_kept_by(self, value: float) -> bool:
        """True if the value is within the limit; one that is no number is not."""
        low = self.at_least is None or value >= self.at_least
        high = self.at_most is None or value <= self.at_most
        return low and high

    def __str__(self) -> str:
        compared = f", times {self.to}'s" if self.to else ""
        return f"{self.table}: {self.contender}, {heading(self.figure)}{compared}"

    @property
    def bounds(self) -> str:
        """The limit in words."""
        bounds = (("at most", self.at_most), ("at least", self.at_least))
        return " and ".join(f"{word} {number(bound)}" for word, bound in bounds if bound is not None)


def verdicts(limits: list[Limit], tables: list[Measured]) -> str:
    """A table of what was asked and what was measured, as Markdown; what was not measured is left out."""
    measured = {table.title: table for table in tables}
    lines = ["| figure | kind | limit | measured | verdict |", "| --- | --- | --- | --- | --- |"]
    for limit in limits:
        value = limit.value(measured)
        if value is not None:
            kind, failed = ("aim", "not yet") if limit.aim else ("target", "**missed**")
            verdict = "met" if limit.is_kept_by(value) else failed
            lines.append(f"| {limit} | {kind} | {limit.bounds} | {number(value)} | {verdict} |")
    return "\n".join(lines) if len(lines) > 2 else ""
