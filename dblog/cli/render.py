"""Records as text, table, JSON, JSON lines or CSV; nothing that a record holds can steer the terminal."""

import csv
import io
import json
import logging
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from dblog.columns import LOG_COLUMNS, SERVER_COLUMNS
from dblog.escapes import printable, printable_json, printable_lines
from dblog.reading.window import in_zone, show

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[Any, Any]

COLUMNS: Final = tuple(column.name for column in (*LOG_COLUMNS[2:], *SERVER_COLUMNS, *LOG_COLUMNS[:2]))
"""The order of the columns in JSON and CSV: as in the table, but with the batch last."""

INDENT: Final = "    "

_BARE_VALUE = re.compile(r"[^\s\"'=]+")
_COLOURS: Final = ((50, "1;31"), (40, "31"), (30, "33"), (20, "32"), (0, "2"))


@dataclass(frozen=True, slots=True)
class Style:
    """How to show records."""

    form: str
    """One of `FORMS`."""
    zone: tzinfo | None
    """The time zone of the times; None is the system's."""
    colour: bool


def text_lines(rows: Iterable[Row], style: Style) -> Iterator[str]:
    """One line a record; further lines of the message, the exception and the stack are indented below it."""
    for row in rows:
        first, *more = (row["message"] or "").split("\n")
        level = f"{row['level']:<8}"
        head = (
            show(row["timestamp"], style.zone),
            f"{printable(row['hostname'])}[{row['process_id'] or '-'}]",
            _coloured(printable(level), row["level_no"]) if style.colour else printable(level),
            f"{printable(row['logger_name'])}:",
            printable(first),
            *_pairs(row["extra_data"]),
        )
        yield " ".join(head)
        yield from (INDENT + printable(line) for line in more)
        for column in ("exception", "stack_info"):
            if row[column]:
                yield from (INDENT + printable(line) for line in row[column].rstrip("\n").split("\n"))


def json_lines(rows: Iterable[Row], style: Style) -> Iterator[str]:
    """One JSON object a line."""
    return (to_json(_plain(row, style)) for row in rows)


def json_array(rows: Iterable[Row], style: Style) -> Iterator[str]:
    """One JSON array, an object a line."""
    before = "["
    for line in json_lines(rows, style):
        yield before + line
        before = ","
    yield "]" if before == "," else "[]"


def csv_lines(rows: Iterable[Row], style: Style) -> Iterator[str]:
    """A line of names, then one record after the other; `extra_data` is JSON, a NULL is empty."""
    yield _csv_line(COLUMNS)
    for row in rows:
        plain = _plain(row, style)
        plain["extra_data"] = None if row["extra_data"] is None else to_json(row["extra_data"])
        yield _csv_line([printable_lines(str(v)) if v is not None else "" for v in plain.values()])


def table_lines(rows: Iterable[Row], style: Style) -> Iterator[str]:
    """A table, which has to be complete before its first line is known."""
    body = (
        (
            show(row["timestamp"], style.zone),
            row["level"],
            row["hostname"],
            row["logger_name"],
            " ".join((row["message"], *_pairs(row["extra_data"]))),
            row["exception_type"] or "",
        )
        for row in rows
    )
    yield from draw(make_table("", ("time", "level", "host", "logger", "message", "exception"), body), style)


FORMS: Final[dict[str, Callable[[Iterable[Row], Style], Iterator[str]]]] = {
    "text": text_lines,
    "table": table_lines,
    "json": json_array,
    "jsonl": json_lines,
    "csv": csv_lines,
}
"""The values of `--output`."""

ENDLESS: Final = ("text", "jsonl")
"""The forms that can be begun without knowing the end, and where each part stands for itself."""


def write(lines: Iterable[str], *, flush: bool = False) -> None:
    """Write lines to standard output, where wanted each at once."""
    for line in lines:
        sys.stdout.write(line + "\n")
        if flush:
            sys.stdout.flush()


def make_table(
    title: str, names: Sequence[str], rows: Iterable[Sequence[object]], *, whole: Sequence[str] = ()
) -> "Table":
    """A table of plain values; numbers stand at the right.

    The columns of `whole` are not broken into lines where there is another one to break; to make room for them, all
    columns stand closer.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=bool(whole)
    )
    body = [tuple(row) for row in rows]
    for place, name in enumerate(names):
        numbers = bool(body) and all(isinstance(row[place], int) for row in body)
        made.add_column(name, justify="right" if numbers else "left", overflow="fold", no_wrap=name in whole)
    for row in body:
        made.add_row(*(Text(f"{v:,}" if isinstance(v, int) else printable(str(v))) for v in row))
    return made


def draw(table: "Table", style: Style) -> Iterator[str]:
    """The lines of a table: as wide as the terminal, or as its content where there is none."""
    from rich.console import Console

    out = io.StringIO()
    width = None if sys.stdout.isatty() else 1_000_000
    console = Console(file=out, width=width, force_terminal=style.colour, no_color=not style.colour)
    console.print(table)
    return (line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def counted(levels: Mapping[int, int]) -> str:
    """Rows by level number as `3 ERROR, 1,204 INFO`, the worst first."""
    return ", ".join(
        f"{count:,} {logging.getLevelName(level)}" for level, count in sorted(levels.items(), reverse=True)
    )


def several(count: int, noun: str) -> str:
    """A number with its noun: `1 row`, `1,204 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def estimated(rows: int | None) -> int | str:
    """A number of rows as far as the server knows it."""
    return "unknown" if rows is None else rows


def wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    """The lines of a text, all but the first a little to the right; words, paths among them, stay in one piece."""
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def to_json(value: object) -> str:
    """JSON in one line, readable, and safe for a terminal."""
    return printable_json(json.dumps(value, ensure_ascii=False))


def _plain(row: Row, style: Style) -> dict[str, Any]:
    return {name: _value(row[name], style) for name in COLUMNS}


def _value(value: object, style: Style) -> object:
    if isinstance(value, datetime):
        return in_zone(value, style.zone).isoformat()
    return str(value) if isinstance(value, UUID) else value


def _pairs(extra: object) -> Iterator[str]:
    if extra is None:
        return
    if not isinstance(extra, dict):
        yield to_json(extra)
        return
    for key, value in extra.items():
        shown = value if isinstance(value, str) and _BARE_VALUE.fullmatch(value) else to_json(value)
        yield f"{printable(key)}={printable(shown)}"


def _csv_line(values: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)  # it only quotes a line break that it knows as one
    return out.getvalue()[:-1]


def _coloured(text: str, level_no: int) -> str:
    code = next((code for least, code in _COLOURS if level_no >= least), "2")
    return f"\x1b[{code}m{text}\x1b[0m"
