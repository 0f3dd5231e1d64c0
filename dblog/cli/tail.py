"""`dblog tail`: the last records and, with `-f`, those that arrive."""

import sys
import time
from functools import partial

import click

from dblog.cli.options import Seconds, with_output, with_selection, with_settings
from dblog.cli.query import answer
from dblog.cli.render import ENDLESS, FORMS, Style, write
from dblog.errors import UsageError
from dblog.escapes import printable
from dblog.reading.follow import follow
from dblog.reading.query import Query
from dblog.reading.terms import Filter
from dblog.reading.window import Window
from dblog.settings import Settings


@click.command("tail")
@with_settings
@with_selection
@with_output(list(FORMS))
@click.option(
    "-n", "--limit", type=click.IntRange(0, 100_000), default=10, show_default=True, help="The last N to begin with."
)
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what arrives, until Ctrl-C.")
@click.option(
    "--interval",
    type=Seconds(0.01, 3600),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="How often to look for new records.",
)
def command(
    settings: Settings,
    term: Filter,
    window: Window,
    timeout: float,
    style: Style,
    limit: int,
    following: bool,
    interval: float,
) -> None:
    """Print the last records that match FILTER (see `dblog query --help`), and follow what arrives.

    What another process commits late is shown when it is committed, with the timestamp that it has; nothing is shown
    twice. After a restart of the server it goes on where it was.
    """
    query = Query(term, window, limit)
    if not following:
        if limit:
            answer(settings, query, style, timeout)
        return
    if style.form not in ENDLESS:
        raise UsageError(f"--output: {style.form!r} has an end; accepted with --follow: {', '.join(ENDLESS)}")
    pause = partial(time.sleep, interval)
    for page in follow(settings.database, query, statement_timeout=timeout, pause=pause, note=_note):
        write(FORMS[style.form](page, style), flush=True)


def _note(line: str) -> None:
    sys.stderr.write(f"dblog: {printable(line)}\n")
    sys.stderr.flush()
