"""`dblog maintain`: prune again and again, until told to end."""

import json
import os
import re
import select
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from dblog.cli.options import with_settings
from dblog.errors import DblogError
from dblog.escapes import printable
from dblog.maintainer import archiver_for
from dblog.settings import Settings
from dblog.store.engine import keeping
from dblog.store.expiry import PASSING, Removal
from dblog.store.maintenance import begin, is_unfinished, summary
from dblog.store.policy import policy_of
from dblog.store.retention import Refused

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION: Final = re.compile("".join(rf"(?:(?P<{unit}>\d{{1,6}}){unit})?" for unit in _UNITS))


class Ending:
    """Knows whether the process was told to end, and can wait for it."""

    def __init__(self) -> None:
        self.asked = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def note(self, *_: object) -> None:
        """Take a signal: a pipe wakes whoever waits, also where the signal comes just before."""
        self.asked = True
        os.write(self._write, b".")

    def wait(self, seconds: float) -> bool:
        """Wait, or be told to end meanwhile."""
        if not self.asked:
            select.select([self._read], [], [], seconds)
        return self.asked

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read)
        os.close(self._write)


def _seconds(_: click.Context, param: click.Parameter, value: str) -> float:
    found = _DURATION.fullmatch(value.strip())
    parts = {_UNITS[unit]: int(count) for unit, count in found.groupdict().items() if count} if found else {}
    seconds = timedelta(**parts).total_seconds()
    if not 1 <= seconds <= 604_800:
        raise click.BadParameter(f"{value!r} is no interval; accepted: 1s to 1w, as in 1h or 1h30m", param=param)
    return seconds


@click.command("maintain")
@click.option(
    "--every", metavar="TIME", default="1h", show_default=True, callback=_seconds, help="From one run to the next."
)
@click.option("--once", is_flag=True, help="End after the first run.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each run.")
@with_settings
@click.pass_context
def command(ctx: click.Context, settings: Settings, every: float, once: bool, as_json: bool) -> None:
    """Do what `dblog prune` does, now and again after each interval, until SIGTERM or Ctrl-C.

    Each run prints a line; one that fails is told of on stderr, and the next one comes in its time. Exit code: 0 when
    told to end; with --once, 1 where something had to wait, was refused or failed.
    """
    with _ending() as ending:
        while True:
            problem = _run(settings, ending, as_json)
            if once or ending.wait(every):
                break
    ctx.exit(1 if once and problem else 0)


@contextmanager
def _ending() -> Iterator[Ending]:
    ending = Ending()
    before = {each: signal.signal(each, ending.note) for each in SIGNALS}
    try:
        yield ending
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        ending.close()


def _run(settings: Settings, ending: Ending, as_json: bool) -> bool:
    """Run once; True where something is left to do."""
    chosen, removals = settings.logging.database, list[Removal]()
    made: tuple[str, ...] = ()
    problem: str | None = None
    try:
        with keeping(settings.database) as (connection, names):
            archiver, ahead = archiver_for(chosen.archive, names), settings.database.partitions_ahead
            run = begin(connection, names, policy_of(chosen), ahead=ahead, archiver=archiver)
            made = run.made
            with closing(run.removals):
                for removal in run.removals:
                    removals.append(removal)
                    if ending.asked:
                        break
    except Refused as error:
        problem = f"refused: {error}"
    except DblogError as error:
        problem = str(error)
    _tell(made, [each for each in removals if each.action not in PASSING], problem, as_json)
    return problem is not None or is_unfinished(removals)


def _tell(made: tuple[str, ...], removals: list[Removal], problem: str | None, as_json: bool) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if as_json:
        tables = [asdict(removal) for removal in removals]
        click.echo(json.dumps({"at": now, "made": made, "tables": tables, "problem": problem}))
    elif problem is None or removals or made:
        click.echo(f"{now} {printable(summary(made, removals))}")
    if problem is not None and not as_json:
        click.echo(f"{now} dblog: error: {printable(problem)}", err=True)
