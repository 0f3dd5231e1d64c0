"""Measure dblog beside the usual ways, and print the tables as Markdown: `python -m benchmarks`."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks import (
    calls,
    end_to_end,
    files,
    growth,
    journal,
    keeping,
    latency,
    layers,
    memory,
    outage,
    reading,
    startup,
)
from benchmarks.guard import guard
from benchmarks.limits import verdicts
from benchmarks.machine import machine
from benchmarks.measure import Measured, Table, take_turns
from benchmarks.report import as_json, as_markdown, read
from benchmarks.run import Run
from benchmarks.targets import TARGETS

BENCHMARKS: dict[str, Callable[[Run], Iterator[Table]]] = {
    "calls": calls.tables,
    "layers": layers.tables,
    "end-to-end": end_to_end.tables,
    "outage": outage.tables,
    "journal": journal.tables,
    "files": files.tables,
    "memory": memory.tables,
    "startup": startup.tables,
    "reading": reading.tables,
    "latency": latency.tables,
    "growth": growth.tables,  # behind those that read the same tables: it lets them grow further
    "keeping": keeping.tables,
}
QUICK = Run(quick=True, rounds=2, calls=3_000, records=20_000, seconds=0.3, rows=(0.1,))
HASTY = "A quick run is not held against them: with so few calls and records, connecting counts for too much."


def main() -> None:
    """Measure on a throw-away server with its ordinary, durable settings, and in temporary files."""
    parser = _parser()
    options = parser.parse_args()
    if options.guard:
        sys.exit(guard())
    try:
        _check_outputs(options)
        described, tables = read(options.figures) if options.figures else (machine(), [])
    except ValueError as error:
        parser.exit(2, f"benchmarks: {error}\n")
    if options.figures:
        _keep(options, described, tables)
    else:
        with _run(options) as run:
            for table in _chosen(options.only, run):
                tables.append(take_turns(table, run.rounds))
                _keep(options, described, tables)  # at once: a run may take hours, and may be ended
    judged = HASTY if options.quick else verdicts(TARGETS, tables)
    text = f"{as_markdown(described, tables, _plots(tables, options))}\n\n### Targets\n\n{judged}\n"
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    else:
        print(text)


def _check_outputs(options: argparse.Namespace) -> None:
    """Find out before hours of measuring that what was measured could not be shown.

    Raises:
        ValueError: A folder or matplotlib is not there.
    """
    for path in (options.json, options.markdown):
        if path and not path.parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.parent}")
    if options.plots and not find_spec("matplotlib"):
        raise ValueError("--plots needs matplotlib, which is not installed: pip install matplotlib")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", type=_names, default=[*BENCHMARKS], metavar="NAME,...", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="fewer of everything: a minute or two")
    parser.add_argument("--rounds", type=_count, help="how often the contenders take turns")
    parser.add_argument("--records", type=_count, help="how many records go into the table")
    parser.add_argument("--seconds", type=_positive, help="for how long each contender makes the calls that are timed")
    parser.add_argument("--rows", type=_millions, metavar="1,10,...", help="millions of rows, grown tables")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there instead of printing them")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw plots as SVG; needs matplotlib")
    parser.add_argument(
        "--figures",
        type=Path,
        action="append",
        metavar="FILE",
        help="measure nothing, take the figures that --json wrote; several times: add up the rounds",
    )
    parser.add_argument(
        "--guard", action="store_true", help="a short run that fails if something is slower by a factor"
    )
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - BENCHMARKS.keys():
        raise argparse.ArgumentTypeError(
            f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(BENCHMARKS)}"
        )
    return names


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def _millions(text: str) -> tuple[float, ...]:
    return tuple(_positive(each) for each in text.split(","))


def _run(options: argparse.Namespace) -> Run:
    run = QUICK if options.quick else Run()
    given = {name: value for name in ("rounds", "records", "seconds", "rows") if (value := getattr(options, name))}
    return replace(run, **given)


def _keep(options: argparse.Namespace, described: dict[str, str], tables: list[Measured]) -> None:
    if options.json:
        options.json.write_text(as_json(described, tables), encoding="utf-8")


def _chosen(names: list[str], run: Run) -> Iterator[Table]:
    for name in names:
        yield from BENCHMARKS[name](run)


def _plots(tables: list[Measured], options: argparse.Namespace) -> dict[str, str]:
    if not options.plots:
        return {}
    from benchmarks.plots import draw  # matplotlib is there for this alone

    drawn = draw(tables, options.plots)
    start = options.markdown.parent if options.markdown else Path()
    return {title: os.path.relpath(path, start) for title, path in drawn.items()}
