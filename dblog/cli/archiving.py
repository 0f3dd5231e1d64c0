"""What the commands about the archive share: where it is, days, and a progress bar."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dblog.archive import surveying
from dblog.archive.catalog import Archive
from dblog.archive.surveying import Survey
from dblog.errors import DblogError, UsageError
from dblog.escapes import printable
from dblog.settings import Settings


def day(text: str) -> date:
    """A day in UTC, as the type of an option.

    Raises:
        click.BadParameter: It is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day; accepted: a day in UTC, as in 2026-11-21") from None


def archive_of(settings: Settings, location: str | None) -> Archive:
    """The archive that was named, else the one of the configuration.

    Raises:
        UsageError: Neither names one.
    """
    found = settings.logging.database.archive if location is None else location
    if found is None:
        raise UsageError("ARCHIVE: give a directory or s3://bucket/prefix, or set logging.database.archive")
    return Archive.at(found, settings.database.table_prefix)


def check(archive: Archive, first: date, last: date) -> Survey:
    """Compare all files of some days with their manifests.

    Raises:
        DblogError: There is no archive.
    """
    found = surveying.survey(archive, first, last)
    with watched("checking", sum(file.manifest.size for file in found.files)) as progress:
        surveying.check(archive, found, progress.advance)
    return found


def tell(problems: Iterable[DblogError]) -> None:
    """Name every problem on stderr, a line for each."""
    for each in problems:
        click.echo(f"dblog: error: {printable(str(each))}", err=True)


class Advancing:
    """A progress bar that may be told how much more was done."""

    def __init__(self, progress: Progress, text: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(text, total=total or None)

    def advance(self, steps: int) -> None:
        """Move on."""
        self._progress.advance(self._task, steps)


@contextmanager
def watched(text: str, total: int) -> Iterator[Advancing]:
    """Show a progress bar on a terminal; a total of 0 is not known."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Advancing(progress, text, total)
