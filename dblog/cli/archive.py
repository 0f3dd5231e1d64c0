"""`dblog archive`: partitions to files that other engines read, too."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Final, cast

import click
from rich.filesize import decimal

from dblog.archive import claims
from dblog.archive.catalog import FIRST, LAST, Archive
from dblog.archive.formats import FORMAT_NAMES, FormatName
from dblog.archive.hook import preferred_format
from dblog.archive.installation import installation_of
from dblog.archive.problems import Damaged, Unread, Unusable
from dblog.archive.selection import choose
from dblog.archive.stores import clear_errors
from dblog.archive.writing import Archived, archive_partition
from dblog.cli.archiving import archive_of, check, day, tell, watched
from dblog.cli.options import location_options
from dblog.cli.render import Style, draw, make_table, several, write
from dblog.config import load_settings
from dblog.errors import UsageError
from dblog.escapes import printable
from dblog.settings import Settings
from dblog.store.engine import keeping
from dblog.store.partitions import list_partitions, server_now

UNREAD: Final = 3
"""The exit code of --verify where nothing is known to be damaged, but not everything could be read."""


@click.command("archive")
@click.argument("location", metavar="[ARCHIVE]", required=False)
@click.option("--before", type=day, metavar="DAY", help="Only partitions that end before this day, in UTC.")
@click.option("--partition", "named", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMAT_NAMES),
    help="The format of new files.  [default: parquet where dblog[archive] is installed]",
)
@click.option("--take-over", is_flag=True, help="Go on with the archive of another installation, which is no more.")
@click.option("--verify", is_flag=True, help="Archive nothing: compare all files with their manifests.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@location_options
def command(
    config_path: Path | None,
    dsn: str | None,
    location: str | None,
    before: date | None,
    named: tuple[str, ...],
    form: str | None,
    take_over: bool,
    verify: bool,
    as_json: bool,
) -> int:
    """Copy partitions that are over to ARCHIVE: a directory, or s3://bucket/prefix.

    Nothing is removed from the table: `dblog prune --archive` does that. What the archive has already is not written
    again.  [default: logging.database.archive]

    Exit code of --verify: 1 where a file is damaged or missing, or there is no archive; 3 where not everything could be
    read, and nothing is known to be damaged.
    """
    if verify and take_over:
        raise UsageError("--take-over: --verify archives nothing; accepted: one of them")
    settings = load_settings(config_path, dsn=dsn, need_database=not verify)
    archive = archive_of(settings, location)
    if verify:
        return _verify(archive, as_json=as_json)
    chosen = cast("FormatName", form) if form else preferred_format()
    done = _archive(settings, archive, chosen, before, named, take_over=take_over)
    if as_json:
        click.echo(json.dumps([asdict(one) | {"day": one.day.isoformat()} for one in done]))
    else:
        _show(done)
    return 0


def _archive(
    settings: Settings,
    archive: Archive,
    form: FormatName,
    before: date | None,
    named: Sequence[str],
    *,
    take_over: bool,
) -> list[Archived]:
    with keeping(settings.database) as (connection, names):
        with connection.begin():
            chosen = choose(list_partitions(connection, names), server_now(connection), before=before, named=named)
        if take_over:
            with connection.begin(), clear_errors(archive.where):
                claims.take_turns(connection, names, "claim")
                claims.take_over(archive, installation_of(connection, names))
        with watched("archiving rows", sum(part.rows or 0 for part in chosen)) as progress:
            return [
                one
                for part in chosen
                for one in archive_partition(
                    connection.engine, names, part.name, archive, form, thorough=False, advance=progress.advance
                )
            ]


def _verify(archive: Archive, *, as_json: bool) -> int:
    found = check(archive, FIRST, LAST)
    rows, size = sum(file.manifest.rows for file in found.files), sum(file.manifest.size for file in found.files)
    if as_json:
        figures = {"files": len(found.files), "rows": rows, "size": size}
        bad = {"damaged": _named(found.unusable, Damaged), "unread": _named(found.unusable, Unread)}
        strays = {"begun": found.begun, "lost": found.lost}
        click.echo(json.dumps(figures | bad | strays | {"away": str(found.away) if found.away else None}))
    else:
        tell(found.unusable)
        for reason, paths in ((_BEGUN, found.begun), (_LOST, found.lost)):
            for path in paths:
                where = printable(f"{archive.store.location}/{path}")
                click.echo(f"dblog: note: {where}: {reason}", err=True)
        if found.files or not found.away:
            whole = f"{several(len(found.files), 'file')} with {several(rows, 'row')}"
            click.echo(f"{whole} as their manifests say, {decimal(size)}")
    if found.away:
        tell([found.away])
    if any(isinstance(each, Damaged) for each in found.unusable):
        return 1
    return UNREAD if found.unusable or found.away else 0


_BEGUN: Final = "a run is writing it, or was cut short: then the next that archives the partition removes it"
_LOST: Final = "its manifest is lost: it is not restored, and engines that read the folder may find its rows twice"


def _named(unusable: Sequence[Unusable], kind: type[Unusable]) -> list[dict[str, str]]:
    return [{"file": each.path, "reason": each.reason} for each in unusable if isinstance(each, kind)]


def _show(done: Sequence[Archived]) -> None:
    if not done:
        click.echo("there is nothing to archive: no partition that is over has rows")
        return
    rows = ((one.partition, str(one.day), one.rows, one.written, one.file or "", decimal(one.size)) for one in done)
    table = make_table("", ("partition", "day", "rows", "written", "file", "size"), rows)
    write(draw(table, Style("table", zone=None, colour=False)))
