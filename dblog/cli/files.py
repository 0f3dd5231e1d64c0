"""`dblog files`: report, rotate, clean and check a folder of log files."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ByteSize, TypeAdapter, ValidationError

from dblog.checks import SEVERITY, worst
from dblog.cli.logfiles import file_as_json, removal_lines, report_as_json, report_lines
from dblog.cli.options import Number, Seconds
from dblog.cli.render import to_json, write
from dblog.errors import DblogError, UsageError
from dblog.escapes import printable
from dblog.files.folder import byhand, health
from dblog.files.folder.survey import SUFFIXES, Log, find_logs, why_missing
from dblog.files.rotated.bounds import Bounds

_DAY: Final = 86_400.0

Function = Callable[..., Any]


def with_logs(function: Function) -> Function:
    """Add DIR and NAMEs; the function gets `folder: Path` and `names: Sequence[str]`."""

    @wraps(function)
    def found(*args: Any, folder: Path, names: Sequence[str], **kwargs: Any) -> Any:
        for name in names:
            if Path(name).name != name:
                raise UsageError(f"{name!r} is no name of a file in {folder}; accepted: a name without a folder")
        return function(*args, folder=folder, names=names, **kwargs)

    directory = click.Path(exists=True, file_okay=False, path_type=Path)
    named = click.argument("names", nargs=-1, metavar="[NAME]...")(found)
    return click.argument("folder", type=directory, metavar="DIR")(named)


def _bytes(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """A number of bytes, with a unit or without."""
    try:
        return None if value is None else int(TypeAdapter(ByteSize).validate_python(value))
    except ValidationError:
        raise click.BadParameter(f"{value!r} is no number of bytes; accepted: 1048576, 64MiB, 1GB, ...") from None


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
total_option = click.option(
    "--max-total", callback=_bytes, metavar="BYTES", help="What the files of one log may take: 60MiB, 1GB, ..."
)


@click.group("files")
def command() -> None:
    """Report, rotate, clean and check a folder of log files.

    A log is a file of the folder DIR whose name ends in .log or .jsonl, or one that is given by NAME, with what was
    rotated from it. No other file is ever touched. Applications may be writing.
    """


@command.command("report")
@with_logs
@json_option
def report(folder: Path, names: Sequence[str], as_json: bool) -> None:
    """Count the files, and show what is the largest and what compression saved."""
    logs = _logs(folder, names)
    if as_json:
        click.echo(to_json(report_as_json(folder, logs)))
    elif logs:
        write(report_lines(logs))
    else:
        _say_nothing(folder)


@command.command("rotate")
@with_logs
@click.option(
    "--copytruncate",
    is_flag=True,
    help="Copy each file and empty it, for programs that do not notice a rename; lines written meanwhile are lost.",
)
@json_option
@click.pass_context
def rotate(ctx: click.Context, folder: Path, names: Sequence[str], copytruncate: bool, as_json: bool) -> None:
    """Rotate the live files now.

    dblog's handler notices with its next write; no line is lost.

    Exit code 1: something could not be rotated, or there is no log of a NAME.
    """
    rotated: dict[str, str | None] = {}
    failed = False
    for log in _logs(folder, names):
        try:
            target = byhand.rotate(log, datetime.now(UTC).astimezone().replace(tzinfo=None), copy=copytruncate)
            rotated[log.live.name] = None if target is None else target.name
        except OSError as error:
            failed = True
            click.echo(f"dblog: error: {printable(str(log.live))}: not rotated: {error.strerror}", err=True)
    if as_json:
        click.echo(to_json({"rotated": rotated}))
    else:
        for name, became in rotated.items():
            click.echo(printable(f"{name}: nothing to rotate" if became is None else f"{name} is {became} now"))
        if not rotated and not failed:
            _say_nothing(folder)
    ctx.exit(1 if failed else 0)


@command.command("clean")
@with_logs
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Keep N rotated files of each log.")
@click.option("--days", type=Number(0, 36_500), metavar="N", help="Keep what was written in the last N days.")
@total_option
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@json_option
def clean(
    folder: Path,
    names: Sequence[str],
    keep: int | None,
    days: float | None,
    max_total: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete rotated files, the oldest first, and unfinished ones that nobody writes any more.

    Live files are never deleted. With several options a file is deleted if any one of them allows it.
    """
    if keep is None and days is None and max_total is None:
        raise UsageError("nothing says what may go; accepted: --keep, --days, --max-total, or several of them")
    bounds = Bounds(keep, None if days is None else days * _DAY, max_total)
    wall, now = datetime.now(UTC).astimezone().replace(tzinfo=None), time.time()
    gone = [file for log in _logs(folder, names) for file in byhand.clean(log, bounds, wall, now, dry_run=dry_run)]
    if as_json:
        click.echo(to_json({"dry_run": dry_run, "files": list(map(file_as_json, gone))}))
        return
    write(removal_lines(gone, dry_run=dry_run))


@command.command("check")
@with_logs
@click.option(
    "--min-free-mb",
    type=Number(0, 1e9),
    metavar="N",
    help="MiB that have to be free.  [default: 100, or a twentieth of the file system where that is less]",
)
@total_option
@click.option(
    "--timeout",
    type=Seconds(0.001, 86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the file system may take to answer.",
)
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    folder: Path,
    names: Sequence[str],
    min_free_mb: float | None,
    max_total: int | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Check whether the folder can be written, has room, and has no alert, leftovers or excess in it.

    The folder is looked at, not the program that writes there.

    Exit code: 0 all is well, 1 there are warnings, 2 there are errors.
    """
    checks = health.within(
        timeout,
        lambda: health.examine(folder, names, min_free_mb=min_free_mb, max_total=max_total, now=time.time()),
    )
    verdict = worst(checks)
    if as_json:
        click.echo(json.dumps({"status": verdict, "checks": [asdict(each) for each in checks]}))
    else:
        for each in checks:
            click.echo(f"{each.state:8} {printable(each.name)}: {printable(each.finding)}")
            if each.remedy is not None:
                click.echo(f"{'':9}mend it with: {printable(each.remedy)}")
    ctx.exit(SEVERITY.index(verdict))


def _logs(folder: Path, names: Sequence[str]) -> tuple[Log, ...]:
    """The logs of a folder; a name that leads to none is an error."""
    logs = find_logs(folder, names)
    reason = why_missing(folder, names, logs)
    if reason is not None:
        raise DblogError(reason)
    return logs


def _say_nothing(folder: Path) -> None:
    endings = " or ".join(SUFFIXES)
    click.echo(f"no logs in {printable(str(folder))}: no name ends in {endings}; others can be given by NAME")
