"""What the commands about the archive share: where it is, days, and a progress bar."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dblog.archive.catalog import Archive, ArchivedFile
from dblog.archive.problems import Unusable
from dblog.archive.stores import clear_errors
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


def check(archive: Archive, first: date, last: date) -> tuple[list[ArchivedFile], list[Unusable]]:
    """Compare all files of some days with their manifests; returns those that are whole, and what the others have.

    Raises:
        StoreError: The archive cannot be read, or cannot any more.
        DblogError: There is none.
    """
    if not archive.is_there():
        raise DblogError(
            f"archive {archive.where}: nothing is there: mistyped, not mounted, or nothing was archived yet"
        )
    with clear_errors(archive.where):
        files, unusable = archive.survey(first, last)
        whole = []
        with watched("checking", sum(file.manifest.size for file in files)) as progress:
            for file in files:
                try:
                    archive.check(file)
                    whole.append(file)
                except Unusable as error:
                    archive.look_again()
                    unusable.append(error)
                progress.advance(file.manifest.size)
    return whole, unusable


def tell(unusable: Iterable[Unusable]) -> None:
    """Name every file that cannot be used on stderr, a line for each."""
    for each in unusable:
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
