"""`dblog prune`: drop what is older than the retention."""

import json
from collections.abc import Iterable
from dataclasses import asdict

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import track

from dblog.cli.options import with_settings
from dblog.cli.render import Style, draw, make_table, write
from dblog.settings import Settings
from dblog.store.engine import keeping
from dblog.store.partitions import make_ahead
from dblog.store.retention import Removal, find_expired, planned, prune


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option(
    "--retention-days",
    type=click.IntRange(1, 36_500),
    metavar="N",
    help="Keep N days of records.  [default: logging.database.retention_days]",
)
@click.option("--force", is_flag=True, help="Drop even more than half of the partitions.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
@click.pass_context
def command(
    ctx: click.Context, settings: Settings, dry_run: bool, retention_days: int | None, force: bool, as_json: bool
) -> None:
    """Drop partitions older than the retention, and make those ahead.

    Exit code 1: something had to wait for others; the next run finishes it.
    """
    days = retention_days or settings.logging.database.retention_days
    with keeping(settings.database) as (connection, names):
        if not dry_run:  # first, because finishing a detach can keep others waiting for a moment
            make_ahead(connection, names, settings.database.partitions_ahead)
        expiry = find_expired(connection, names, days)
        if dry_run:
            removals = planned(expiry)
        else:
            running = prune(connection, names, expiry, force=force)
            removals = tuple(_watched(running, len(expiry)))
    if as_json:
        click.echo(json.dumps([asdict(removal) for removal in removals]))
    else:
        _show(removals, days)
    if dry_run and expiry.excessive:
        click.echo("dblog: note: this is more than half of all partitions and needs --force", err=True)
    ctx.exit(1 if any(removal.action == "waiting" for removal in removals) else 0)


def _watched(removals: Iterable[Removal], total: int) -> Iterable[Removal]:
    console = Console(stderr=True)
    return track(removals, "pruning", total, console=console, transient=True, disable=not console.is_terminal)


def _show(removals: tuple[Removal, ...], days: int) -> None:
    if not removals:
        click.echo(f"nothing is older than {days} days")
        return
    rows = ((removal.name, _outcome(removal), removal.rows, decimal(removal.size)) for removal in removals)
    table = make_table("", ("table", "outcome", "rows, estimated", "size"), rows)
    write(draw(table, Style("table", zone=None, colour=False)))


def _outcome(removal: Removal) -> str:
    waits = f" for process {', '.join(map(str, removal.blockers))}" if removal.blockers else ""
    return removal.action + waits
