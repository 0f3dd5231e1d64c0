"""`dblog query`: the newest records that match a filter."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import sqlalchemy as sa

from dblog.cli.options import location_options, with_output, with_selection
from dblog.cli.render import FORMS, Row, Style, write
from dblog.config import load_settings
from dblog.errors import UsageError
from dblog.escapes import printable
from dblog.reading.query import Query, newest, records
from dblog.reading.terms import Filter
from dblog.reading.window import Window, ago, show
from dblog.settings import Settings
from dblog.store.engine import reading
from dblog.store.schema import logs_table

if TYPE_CHECKING:
    from dblog.archive.catalog import Archive


@click.command("query")
@location_options
@with_selection
@with_output(list(FORMS))
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0, 1_000_000_000),
    default=100,
    show_default=True,
    help="The newest N; 0 for all.",
)
@click.option("--archive", metavar="ARCHIVE", help="Search an archive, a directory or s3://bucket/prefix, instead.")
def command(
    config_path: Path | None,
    dsn: str | None,
    term: Filter,
    window: Window,
    timeout: float,
    style: Style,
    limit: int,
    archive: str | None,
) -> None:
    """Print the newest records that match FILTER, oldest first.

    Terms of a FILTER must all be true; put it in single quotes, and after -- if it begins with a dash:

    \b
      'level>=warning logger:app.db.* "connection reset" -healthz'
      'extra.user_id:42 (host:web-1,web-2 OR service:api*)'

    \b
    text             in the message or the exception, whatever its case
    field:value      equal; * stands for any text, field:* for any value
    field:a,b        one of several
    field>=value     also > <= <, for levels and numbers
    -term            not; OR and parentheses combine terms

    Fields: level logger service host pid thread task module function file line path exception exception_type stack
    message trace span writer batch id, and extra.<key>.
    """  # noqa: D301 - click knows a paragraph to be left alone by the character itself
    if style.form == "table" and not limit:
        raise UsageError("--output: 'table' must know all its rows; accepted with -n 0: text, json, jsonl, csv")
    settings = load_settings(config_path, dsn=dsn, need_database=archive is None)
    if archive is None:
        answer(settings, Query(term, window, limit), style, timeout)
    else:
        _answer_from_archive(settings, archive, Query(term, window, limit), style)


def answer(settings: Settings, query: Query, style: Style, timeout: float) -> None:
    """Print the records of a query; say on stderr what was searched if there are none."""
    with reading(settings.database, statement_timeout=timeout) as (connection, names):
        logs = logs_table(names)
        if not _print(records(connection, logs, query), style):
            _explain(_nothing_found(connection, logs, query.window, style))


def _answer_from_archive(settings: Settings, location: str, query: Query, style: Style) -> None:
    from dblog.archive.catalog import Archive
    from dblog.archive.searching import search

    archive = Archive.at(location, settings.database.table_prefix)
    archive.require()
    if not _print(search(archive, query), style):
        _explain(_nothing_archived(archive, query.window, style))


def _print(found: Iterator[Row], style: Style) -> bool:
    """Print records; False if there are none."""
    first = list(islice(found, 1))
    if first or style.form not in ("text", "table"):
        write(FORMS[style.form](chain(first, found), style))
    return bool(first)


def _explain(lines: Iterator[str]) -> None:
    sys.stdout.flush()
    for line in lines:
        sys.stderr.write(f"dblog: {printable(line)}\n")


def _no_match(window: Window, now: datetime, style: Style) -> str:
    until = "now" if window.until > now else show(window.until, style.zone)
    return f"no record matches from {show(window.since, style.zone)} to {until}"


def _nothing_archived(archive: "Archive", window: Window, style: Style) -> Iterator[str]:
    yield _no_match(window, datetime.now(UTC), style)
    days = archive.days()
    yield f"the archive {archive.where} " + (f"has {days[0]} to {days[-1]} (UTC)" if days else "is empty")


def _nothing_found(connection: sa.Connection, logs: sa.Table, window: Window, style: Style) -> Iterator[str]:
    now = datetime.now(UTC)
    yield _no_match(window, now, style)
    latest = newest(connection, logs)
    if latest is None:
        yield f"the table {logs.name} is empty"
    else:
        yield f"the newest record of {logs.name} is of {show(latest, style.zone)}, {ago(latest, now)}"
