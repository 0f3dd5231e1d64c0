"""`dblog prune`: remove what is older than it is kept, or too much."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

import click
from pydantic import ByteSize, Field, TypeAdapter, ValidationError
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress

from dblog.cli.options import with_settings
from dblog.cli.render import Style, counted, draw, estimated, make_table, write
from dblog.errors import DblogError
from dblog.escapes import printable
from dblog.fields import DaysByLevel, DaysByLogger
from dblog.maintainer import archiver_for
from dblog.settings import Settings
from dblog.store.engine import keeping
from dblog.store.expiry import PASSING, Expiry, Removal, find_expired, planned
from dblog.store.maintenance import Run, begin, is_unfinished
from dblog.store.policy import Policy, policy_of
from dblog.store.retention import Refused


def _size(_ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A number of bytes, as the configuration takes it."""
    if value is None:
        return None
    try:
        return TypeAdapter(Annotated[ByteSize, Field(ge=1)]).validate_python(value)
    except ValidationError:
        accepted = "accepted: 1 and more, or with a unit, as in 500MB or 200GiB"
        raise click.BadParameter(f"{value!r} is no size; {accepted}", param=param) from None


def _days(_ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> Mapping[Any, int]:
    """Names, as the policy has them, with their days."""
    kind: TypeAdapter[Any] = TypeAdapter(DaysByLevel if param.name == "levels" else DaysByLogger)
    found: dict[Any, int] = {}
    for value in values:
        name, _, days = value.rpartition("=")
        try:
            found |= kind.validate_python({name: int(days)})
        except ValueError:
            accepted = "accepted: a name, =, and 1 to 36500, as in DEBUG=7"
            raise click.BadParameter(f"{value!r} is no name with its days; {accepted}", param=param) from None
    return found


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option(
    "--retention-days",
    type=click.IntRange(1, 36_500),
    metavar="N",
    help="Keep N days of records.  [default: logging.database.retention_days]",
)
@click.option(
    "--level",
    "levels",
    callback=_days,
    multiple=True,
    metavar="DEBUG=7",
    help="Keep a level for another number of days; may be repeated.  [default: logging.database.retention.levels]",
)
@click.option(
    "--logger",
    "loggers",
    callback=_days,
    multiple=True,
    metavar="NAME=730",
    help="The same for a logger and those below it.  [default: logging.database.retention.loggers]",
)
@click.option(
    "--max-bytes",
    callback=_size,
    metavar="BYTES",
    help="Drop the oldest partitions while the tables are larger.  [default: logging.database.max_bytes]",
)
@click.option(
    "--archive",
    metavar="URL",
    help="Archive each partition there before it is dropped.  [default: logging.database.archive]",
)
@click.option("--force", is_flag=True, help="Remove also what looks like a mistake.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
@click.pass_context
def command(
    ctx: click.Context,
    settings: Settings,
    dry_run: bool,
    retention_days: int | None,
    levels: Mapping[int, int],
    loggers: Mapping[str, int],
    max_bytes: int | None,
    archive: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Remove records that are older than they are kept, and make the partitions ahead.

    Exit code 1: something had to wait or was refused; it is said what.
    """
    configured = policy_of(settings.logging.database)
    policy = replace(
        configured,
        days=retention_days or configured.days,
        levels={**configured.levels, **levels},
        loggers={**configured.loggers, **loggers},
        max_bytes=max_bytes or configured.max_bytes,
    )
    url = settings.logging.database.archive if archive is None else archive  # '' is a mistake, not none
    refusal: DblogError | None = None
    with keeping(settings.database) as (connection, names):
        archiver = archiver_for(url, names)
        if dry_run:
            expiry = find_expired(connection, names, policy)
            removals = [*planned(connection, names, expiry, archiver=archiver, force=force)]
        else:
            ahead = settings.database.partitions_ahead
            run = begin(connection, names, policy, ahead=ahead, force=force, archiver=archiver)
            expiry, removals = run.expiry, []
            try:
                removals.extend(_watched(run))
            except Refused as error:
                refusal = error
    if as_json:
        click.echo(json.dumps(_report(removals, expiry)))
    else:
        _show(removals, expiry)
    if dry_run and not force:
        for doubt in expiry.doubts:
            click.echo(f"dblog: note: {doubt}; this needs --force", err=True)
    if refusal is not None:
        raise refusal
    ctx.exit(1 if is_unfinished(removals) else 0)


def _watched(run: Run) -> Iterator[Removal]:
    """What is done, without the steps in between, which only a progress bar shows."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("pruning", total=len(run.expiry))
        for removal in run.removals:
            if removal.action in PASSING:
                rows = f" {removal.rows:,}" if removal.rows else ""
                progress.update(task, description=f"{removal.action}{rows}: {printable(removal.name)}")
            else:
                progress.update(task, description="pruning", advance=1)
                yield removal


def _report(removals: list[Removal], expiry: Expiry) -> dict[str, object]:
    return {
        "tables": [asdict(removal) for removal in removals],
        "bytes": expiry.bytes,
        "max_bytes": expiry.policy.max_bytes,
        "limit_in_days": expiry.limit_in_days,
        "doubts": expiry.doubts,
    }


def _show(removals: list[Removal], expiry: Expiry) -> None:
    if removals:
        rows = (
            (removal.name, _outcome(removal), estimated(removal.rows), decimal(removal.size)) for removal in removals
        )
        table = make_table("", ("table", "outcome", "rows, estimated", "size"), rows)
        write(draw(table, Style("table", zone=None, colour=False)))
    elif expiry.policy == Policy(expiry.policy.days):
        click.echo(f"nothing is older than {expiry.policy.days} days")
    else:
        click.echo("nothing is to go")
    if expiry.policy.max_bytes is not None:
        click.echo(f"{decimal(expiry.bytes)} of {decimal(expiry.policy.max_bytes)} are kept; {outlook(expiry)}")


def outlook(expiry: Expiry) -> str:
    """When the limit is reached."""
    days = expiry.limit_in_days
    if days is None:
        return "at today's rate the limit is not reached"
    return f"at today's rate the limit is reached in {days} days" if days else "the limit is exceeded"


def _outcome(removal: Removal) -> str:
    waits = f" for process {', '.join(map(str, removal.blockers))}" if removal.blockers else ""
    levels = f": {counted(removal.levels)}" if removal.levels else ""
    note = f" {removal.note}" if removal.action == "held" else f": {removal.note}" if removal.note else ""
    return removal.action + waits + levels + note
