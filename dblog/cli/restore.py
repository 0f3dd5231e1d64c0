"""`dblog restore`: archived rows back into the table."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Final

import click
import sqlalchemy as sa

from dblog.archive.catalog import FIRST, LAST, Archive, ArchivedFile
from dblog.archive.installation import installation_of
from dblog.archive.problems import Damaged, Unread
from dblog.archive.restoring import Restored, restore
from dblog.archive.stores import clear_errors
from dblog.cli.archiving import archive_of, check, day, tell, watched
from dblog.cli.options import with_settings
from dblog.cli.render import Style, draw, make_table, several, write
from dblog.errors import DblogError, UsageError
from dblog.escapes import printable
from dblog.settings import Settings
from dblog.store.engine import keeping
from dblog.store.names import Names


@click.command("restore")
@click.argument("location", metavar="[ARCHIVE]", required=False)
@click.option("--from", "first", type=day, metavar="DAY", help="The first day, in UTC.  [default: the oldest]")
@click.option("--to", "last", type=day, metavar="DAY", help="The last day, in UTC.  [default: the newest]")
@click.option(
    "--keep-days",
    type=click.IntRange(1, 36_500),
    default=7,
    show_default=True,
    metavar="N",
    help="How long the retention leaves the partitions alone that got rows.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def command(
    settings: Settings, location: str | None, first: date | None, last: date | None, keep_days: int, as_json: bool
) -> None:
    """Bring rows of ARCHIVE, a directory or s3://bucket/prefix, back into the table.

    All files are checked before the first row is restored. Rows that are there already stay as they are, so a run that
    was cut short is simply begun again.  [default: logging.database.archive]
    """
    first, last = first or FIRST, last or LAST
    if first > last:
        raise UsageError(f"--from: {first} is after {last}; accepted: a day that is not after --to")
    archive = archive_of(settings, location)
    files = _files(archive, first, last)
    with (
        keeping(settings.database) as (connection, names),
        watched("restoring rows", sum(file.manifest.rows for file in files)) as progress,
    ):
        _tell_origins(files, connection, names)
        done = []
        for one in restore(connection, names, archive, files, keep_days=keep_days):
            progress.advance(one.rows)
            done.append(one)
    if as_json:
        click.echo(json.dumps([asdict(one) | {"day": one.day.isoformat()} for one in done]))
    else:
        _show(done)


def _files(archive: Archive, first: date, last: date) -> list[ArchivedFile]:
    found = check(archive, first, last)
    tell(found.unusable)
    if found.away:
        raise found.away
    if found.unusable:
        advice = "; ".join(text for kind, text in _ADVICE if any(isinstance(each, kind) for each in found.unusable))
        raise DblogError(
            f"archive {archive.where}: {several(len(found.unusable), 'file')} of these days cannot be used, and "
            f"nothing was restored; {advice}"
        )
    if not found.files:
        with clear_errors(archive.where):
            days = archive.days()
        has = f"it has {days[0]} to {days[-1]}" if days else "it is empty"
        raise DblogError(f"archive {archive.where}: there is nothing to restore of these days; {has}")
    return found.files


_ADVICE: Final = (
    (Damaged, "without those that are damaged, and their manifests, the others can be"),
    (Unread, "try again when those that cannot be read now can be"),
)


def _tell_origins(files: Sequence[ArchivedFile], connection: sa.Connection, names: Names) -> None:
    """Say whose rows they are where they were another installation's, as after a move to another server."""
    with connection.begin():
        mine = installation_of(connection, names)
    origins = {file.manifest.installation for file in files}
    for other in sorted(str(origin) for origin in origins if origin and not origin.is_same(mine)):
        click.echo(f"dblog: note: rows of {printable(other)} are restored into {printable(str(mine))}", err=True)


def _show(done: Sequence[Restored]) -> None:
    rows = ((str(one.day), one.file, one.rows, one.restored) for one in done)
    table = make_table("", ("day", "file", "rows", "restored"), rows)
    write(draw(table, Style("table", zone=None, colour=False)))
