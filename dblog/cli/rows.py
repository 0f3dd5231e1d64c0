"""The rows of the spool's files: as lines, as JSON, or as COPY reads them; one frame of them in memory."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

import click

from dblog.batch import Batch
from dblog.cli.render import Style, several, text_lines, to_json, write
from dblog.errors import UsageError
from dblog.escapes import printable
from dblog.reading.copied import completed, decode
from dblog.reading.window import in_zone
from dblog.sinks import inspection
from dblog.sinks.frames import Damage
from dblog.sinks.inspection import BatchName, Loose, SpoolFile
from dblog.sinks.layout import UnknownLayout


def row_options(function: Any) -> Any:
    """Add `--jsonl`, `--copy` and `--utc`; the function gets `as_jsonl: bool`, `as_copy: bool` and `utc: bool`."""
    for option in (
        click.option("--utc", is_flag=True, help="Show times in UTC instead of the local time zone."),
        click.option("--copy", "as_copy", is_flag=True, help="Print the rows as COPY reads them."),
        click.option("--jsonl", "as_jsonl", is_flag=True, help="Print one JSON object a row, with all columns."),
    ):
        function = option(function)
    return function


def print_rows(files: Iterable[SpoolFile], *, as_jsonl: bool, as_copy: bool, zone: tzinfo | None) -> bool:
    """Print all rows of the files; False where some of them could not be read, which stderr says.

    Raises:
        UsageError: Two forms were asked for.
    """
    if as_jsonl and as_copy:
        raise UsageError("--jsonl and --copy exclude each other: give one of them")
    printer = _CopyPrinter() if as_copy else _RowPrinter(zone, as_jsonl=as_jsonl)
    seen: set[BatchName] = set()
    whole = [_print_file(file, printer, seen) for file in files]
    printer.finish()
    return all(whole)


class _RowPrinter:
    """Prints rows for people or programs."""

    def __init__(self, zone: tzinfo | None, *, as_jsonl: bool) -> None:
        self._style = Style("jsonl" if as_jsonl else "text", zone, colour=False)
        self._broken = 0

    def put(self, found: Batch | Loose) -> int:
        """Print the rows of a frame, or of what is none yet; returns how many cannot be understood."""
        self._broken = 0
        rows = self._decoded(found)
        if self._style.form == "jsonl":
            reason = {"reason": found.reason} if isinstance(found, Batch) and found.reason is not None else {}
            write(to_json(_plain(row, self._style.zone) | reason) for row in rows)
        else:
            write(text_lines(map(completed, rows), self._style))
        return self._broken

    def finish(self) -> None:
        """Nothing is left to be said."""

    def _decoded(self, found: Batch | Loose) -> Iterator[dict[str, Any]]:
        for line in found.payload.splitlines():
            try:
                yield decode(line, found.columns)
            except ValueError:
                self._broken += 1


class _CopyPrinter:
    """Prints rows as they are."""

    def __init__(self) -> None:
        self._columns: tuple[str, ...] | None = None

    def put(self, found: Batch | Loose) -> int:
        """Print the rows of a frame, or of what is none yet; returns 0.

        Raises:
            UsageError: They have other columns than those before them.
        """
        if self._columns not in (None, found.columns):
            raise UsageError("--copy: the files have different columns; accepted: the files of one release at a time")
        self._columns = found.columns
        sys.stdout.flush()
        sys.stdout.buffer.write(found.payload)
        return 0

    def finish(self) -> None:
        """Say what the fields are."""
        sys.stdout.buffer.flush()
        if self._columns is not None:
            click.echo(f"dblog: note: the columns are ({', '.join(self._columns)})", err=True)


def _print_file(file: SpoolFile, printer: _RowPrinter | _CopyPrinter, seen: set[BatchName]) -> bool:
    """Print the rows of a file that no other had; False where there is something that is not shown."""
    troubles: list[str] = []
    for found in _read(file, troubles, seen):
        broken = printer.put(found)
        if broken:
            troubles.append(f"{several(broken, 'row')} cannot be understood")
    for trouble in troubles:
        click.echo(f"dblog: note: {printable(str(file.path))}: {trouble}", err=True)
    return not troubles


def _read(file: SpoolFile, troubles: list[str], seen: set[BatchName]) -> Iterator[Batch | Loose]:
    """What can be read of a file, which may be delivered and deleted at any moment."""
    try:
        for found in inspection.read(file, seen):
            if isinstance(found, Damage):
                troubles.append(f"{found.length} bytes at {found.offset}: {found.reason}")
            else:
                yield found
    except FileNotFoundError:
        return
    except OSError as error:
        troubles.append(error.strerror or str(error))
    except UnknownLayout as error:
        troubles.append(str(error))


def _plain(row: Mapping[str, Any], zone: tzinfo | None) -> dict[str, Any]:
    return {
        name: in_zone(value, zone).isoformat() if isinstance(value, datetime) else value for name, value in row.items()
    }
