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
PASSING = ("date", "load")
"""What may differ between runs on the same machine."""


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
    """What `as_json` has written, in one piece or in several: those of the same table add their rounds to it.

    Raises:
        ValueError: A file is not there, is not of `as_json`, or was measured on another machine, with other versions
            or with other contenders than those before it.
    """
    machine: dict[str, str] = {}
    tables: dict[str, Measured] = {}
    for path in paths:
        found, measured = _parsed(path)
        if other := [key for key in machine.keys() | found.keys() if _differ(key, machine or found, found)]:
            raise ValueError(f"{path}: measured with another {', '.join(sorted(other))} than the files before")
        machine = found
        for table in measured:
            known = tables.get(table.title)
            try:
                tables[table.title] = known.with_rounds_of(table) if known else table
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
    return machine, list(tables.values())


def _parsed(path: Path) -> tuple[dict[str, str], list[Measured]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found["machine"]), [Measured(**each) for each in found["tables"]]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{path}: no figures that --json wrote") from None


def _differ(key: str, one: dict[str, str], other: dict[str, str]) -> bool:
    return key not in PASSING and one.get(key) != other.get(key)


def as_markdown(machine: dict[str, str], tables: list[Measured], plots: dict[str, str]) -> str:
    """A section for each table: median, and in brackets the smallest and largest, or the value of the one round."""
    described = ", ".join(f"{key}: {value}" for key, value in machine.items())
    return "\n".join([described, *(_section(table, plots.get(table.title)) for table in tables)])


def number(value: float) -> str:
    """A value with as many digits as mean something."""
    if math.isnan(value):
        return "-"
    if 0 < abs(value) < 0.1:
        return f"{value:.{1 - math.floor(math.log10(abs(value)))}f}"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _section(table: Measured, plot: str | None) -> str:
    columns = [heading(figure) for figure in table.headings]
    ratios = [f"{heading(figure).partition(',')[0]}, times {table.to}'s" for figure in table.compare]
    lines = [
        f"\n### {table.title}\n",
        f"| {table.axis or 'contender'} | " + " | ".join(columns + ratios) + " |",
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
    known = [value for value in values if not math.isnan(value)]
    if len(known) <= 1:
        return number(known[0] if known else math.nan)
    return f"{number(statistics.median(known))} ({number(min(known))} to {number(max(known))})"
