"""`dblog adopt`: take over the rows of another logs table."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

import click
import sqlalchemy as sa
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress as Bar

from dblog.cli.options import Seconds, with_settings
from dblog.cli.render import several
from dblog.errors import UsageError
from dblog.escapes import printable
from dblog.reading.window import show
from dblog.settings import Settings
from dblog.store.adopting.estimate import Estimate, estimate
from dblog.store.adopting.run import Progress, adopt, settled_bound
from dblog.store.adopting.source import Source, find_source
from dblog.store.engine import keeping
from dblog.store.names import Names
from dblog.store.policy import Policy, policy_of


@click.command("adopt")
@click.argument("table")
@click.option("--dry-run", is_flag=True, help="Only show what would be adopted.")
@click.option("--time-zone", metavar="ZONE", help="The zone of times that do not say theirs: UTC, Europe/Berlin, ...")
@click.option(
    "--batch-rows",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Rows of one transaction.",
)
@click.option(
    "--wait",
    type=Seconds(min=0, max=86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long transactions that have written to the table may take to end.",
)
@click.option(
    "--anew/--go-on",
    default=None,
    help="If TABLE was emptied or made anew since the last run: take all its rows, or those with larger ids.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def command(
    settings: Settings,
    table: str,
    dry_run: bool,
    time_zone: str | None,
    batch_rows: int,
    wait: float,
    anew: bool | None,
    as_json: bool,
) -> None:
    """Take over the rows of TABLE, another table of log records in the same database, each once.

    TABLE is only read. What was adopted is not adopted again: run it again after an interruption, and for what was
    written to the table since.
    """
    with keeping(settings.database) as (connection, names):
        source = find_source(connection, names, table)
        if time_zone is not None:
            _check_zone(connection, time_zone)
        expected = estimate(connection, names, source, time_zone, anew=anew)
        if not as_json:
            _warn(expected, policy_of(settings.logging.database))
        if dry_run:
            _show_plan(source, expected, as_json=as_json)
            return
        bound = settled_bound(connection, source, wait=wait, waiting=lambda: _say_waiting(source))
        batches = adopt(connection, names, source, zone=time_zone, batch_rows=batch_rows, bound=bound, anew=anew)
        rows, count = _watch(batches, expected.rows)
    if as_json:
        click.echo(json.dumps({"table": source.title, "rows": rows, "batches": count, "upto": bound}))
    else:
        _show(source, names, rows, count, expected.adopted)


def _check_zone(connection: sa.Connection, zone: str) -> None:
    """Make sure that the server knows a time zone.

    Raises:
        UsageError: It does not.
    """
    known = sa.text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE lower(name) = lower(:zone))")
    with connection.begin():
        if not connection.scalar(known, {"zone": zone}):
            raise UsageError(
                f"--time-zone: {zone!r} is no time zone that the server knows; accepted: Europe/Berlin, UTC"
            )


def _warn(expected: Estimate, policy: Policy) -> None:
    if expected.oldest is not None and expected.oldest < datetime.now(UTC) - policy.longest:
        click.echo(
            f"dblog: note: there are rows older than {policy.longest.days} days, which the retention will remove: see "
            "logging.database.retention_days",
            err=True,
        )


def _say_waiting(source: Source) -> None:
    click.echo(f"dblog: note: waiting for transactions that have written to {printable(source.title)}", err=True)


def _watch(batches: Iterable[Progress], expected: int) -> tuple[int, int]:
    """Run through the batches behind a progress bar; the sum of the rows, and the number of batches."""
    console = Console(stderr=True)
    rows = count = 0
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("adopting", total=expected)
        for batch in batches:
            rows, count = rows + batch.rows, count + 1
            bar.update(task, completed=rows, total=max(expected, rows))
    return rows, count


def _show_plan(source: Source, expected: Estimate, *, as_json: bool) -> None:
    if as_json:
        times = {name: getattr(expected, name) for name in ("oldest", "newest")}
        shown = {name: moment.isoformat() if moment is not None else None for name, moment in times.items()}
        click.echo(json.dumps({"table": source.title, **asdict(expected), **shown}))
        return
    minutes = max(1, round(expected.seconds / 60))
    click.echo(
        f"{printable(source.title)}, {decimal(expected.bytes)}: about {expected.rows:,} rows to adopt, in about "
        f"{minutes} min; {expected.adopted:,} adopted before"
    )
    if expected.oldest is not None and expected.newest is not None:
        click.echo(f"from {show(expected.oldest, UTC)} to {show(expected.newest, UTC)}")
    click.echo(f"columns: {printable(', '.join(expected.kept))}")
    if expected.into_extra:
        click.echo(f"into extra_data: {printable(', '.join(expected.into_extra))}")


def _show(source: Source, names: Names, rows: int, count: int, before: int) -> None:
    title = printable(source.title)
    if not rows:
        click.echo(f"{title}: nothing new; {before:,} rows adopted before")
        return
    taken, batches = several(rows, "row"), f"{count:,} {'batch' if count == 1 else 'batches'}"
    click.echo(f"{title}: {taken} adopted into {names.schema}.{names.logs} in {batches}")
