"""What was measured as JSON, which can be read again, and as Markdown."""

import json
import math
import statistics
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Measured

UNITS = {
    "_mb_per_s": "MB/s",
    "_kb": "kB",
    "_mb": "MB",
    "_ms": "ms",
    "_per_s": "a second",
    "_percent": "%",
    "_s": "s",
    "_us": "µs",
}
"""The unit that each ending of a figure's name stands for; the first one that fits counts."""


def heading(figure: str) -> str:
    """A figure's name and unit, as people read them."""
    for ending, unit in UNITS.items():
        if f"_{figure}".endswith(ending):
            name = f"_{figure}".removesuffix(ending).strip("_").replace("_", " ").replace("p999", "p99.9")
            return f"{name} {unit}" if unit == "a second" else f"{name}, {unit}".removeprefix(", ")
    return figure.replace("_", " ")


def as_json(machine: dict[str, str], tables: list[Measured]) -> str:
    """All figures of all rounds."""
    return json.dumps({"machine": machine, "tables": [asdict(table) for table in tables]}, indent=1) + "\n"


def read(paths: list[Path]) -> tuple[dict[str, str], list[Measured]]:
    """What `as_json` has written, in one piece or in several: those of the same table add their rounds to it."""
    machine: dict[str, str] = {}
    tables: dict[str, Measured] = {}
    for path in paths:
        found = json.loads(path.read_text(encoding="utf-8"))
        machine = found["machine"]
        for table in (Measured(**each) for each in found["tables"]):
            known = tables.get(table.title)
            tables[table.title] = known.with_rounds_of(table) if known else table
    return machine, list(tables.values())


def as_markdown(machine: dict[str, str], tables: list[Measured], plots: dict[str, str]) -> str:
    """A section for each table: median, and in brackets the smallest and largest, or the value of the one round."""
    described = ", ".join(f"{key}: {value}" for key, value in machine.items())
    return "\n".join([described, *(_section(table, plots.get(table.title)) for table in tables)])


def number(value: float) -> str:
    """A value with as many digits as mean something."""
    if math.isnan(value):
        return "-"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _section(table: Measured, plot: str | None) -> str:
    columns = [heading(figure) for figure in table.headings]
    ratios = [f"{heading(figure).partition(',')[0]}, times {table.to}'s" for figure in table.compare]
    lines = [
        f"\n### {table.title}\n",
        "| | " + " | ".join(columns + ratios) + " |",
        "| --- " * (1 + len(columns) + len(ratios)) + "|",
    ]
    for name in table.figures:
        cells = [_cell(table.values(name, figure)) for figure in table.headings]
        cells += [number(table.ratio(name, table.to, figure)) for figure in table.compare]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [f"\n{table.note}"] if table.note else []
    lines += [f"\n![{table.title}]({plot})"] if plot else []
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    median = number(statistics.median(values))
    if len(values) == 1 or math.isnan(values[0]):
        return median
    return f"{median} ({number(min(values))} to {number(max(values))})"
