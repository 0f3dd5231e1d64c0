"""Plots for the docs: SVG without a background, in colours that can be told apart on white and on black."""

import math
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.measure import Measured
from benchmarks.report import heading

GREY = "#808080"
COLORS = ("#2f81f7", "#d9822b", "#3fa35b", "#a371f7", "#cf4f6a", "#7f8c1f")
WIDE = 50
"""How many times the smallest bar the largest one is at most on an even scale."""
STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GREY,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "savefig.transparent": True,
    "svg.fonttype": "none",  # text stays text: small files, and the reader's own font
    "svg.hashsalt": "dblog",  # the same figures make the same file
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def draw(tables: list[Measured], folder: Path) -> dict[str, Path]:
    """Draw what has a plot; returns the files by the tables' titles."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {table.title: folder / f"{slug(table.title)}.svg" for table in tables if table.plot}
    for table in tables:
        if table.plot:
            with mpl.rc_context(STYLE):
                (_lines if table.axis else _bars)(table)
                plt.savefig(paths[table.title], metadata={"Date": None})
                plt.close()
    return paths


def slug(title: str) -> str:
    """A title as the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _bars(table: Measured) -> None:
    """A panel for each figure, a bar for each contender; dblog's have a colour, and whiskers show the spread."""
    names = list(table.figures)
    _, panels = plt.subplots(
        1, len(table.plot), squeeze=False, sharey=True, figsize=(3 + 3.5 * len(table.plot), 0.8 + 0.38 * len(names))
    )
    for axes, figure in zip(panels[0], table.plot, strict=True):
        medians = [table.median(name, figure) for name in names]
        low = [middle - min(table.values(name, figure)) for name, middle in zip(names, medians, strict=True)]
        high = [max(table.values(name, figure)) - middle for name, middle in zip(names, medians, strict=True)]
        colors = [COLORS[0] if "dblog" in name else GREY for name in names]
        labels = [name.replace("`", "") for name in names]
        axes.barh(labels, medians, xerr=(low, high), color=colors, ecolor=COLORS[1], height=0.65)
        axes.set_title(heading(figure))
        _scale(axes, [middle for middle in medians if not math.isnan(middle)])
        axes.grid(visible=True, axis="x", color=GREY, alpha=0.25)
        axes.set_axisbelow(True)
    panels[0][0].invert_yaxis()


def _scale(axes: Axes, medians: list[float]) -> None:
    """From zero, but where the smallest bar could not be seen beside the largest one, by powers of ten."""
    smallest, largest = min(medians, default=0), max(medians, default=0)
    if 0 < WIDE * smallest < largest:
        axes.set_xscale("log")
        axes.set_xlim(left=10 ** math.floor(math.log10(smallest / 2)))
    else:
        axes.set_xlim(left=0)


def _lines(table: Measured) -> None:
    """A line for each figure, along the numbers that the contenders' names are."""
    places = [float(name.replace(",", "")) for name in table.figures]
    _, axes = plt.subplots(figsize=(6.5, 3.6))
    for figure, color in zip(table.plot, COLORS, strict=False):
        _line(axes, table, places, figure, color)
    axes.set_xlabel(table.axis)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, color=GREY, alpha=0.25)
    if len(table.plot) > 1:
        axes.legend(frameon=False, labelcolor=GREY)
    else:
        axes.set_ylabel(heading(table.plot[0]))


def _line(axes: Axes, table: Measured, places: list[float], figure: str, color: str) -> None:
    names = list(table.figures)
    axes.plot(places, [table.median(name, figure) for name in names], color, marker="o", label=heading(figure))
    low, high = ([edge(table.values(name, figure)) for name in names] for edge in (min, max))
    axes.fill_between(places, low, high, color=color, alpha=0.2)
