"""Options that commands share, and how they become settings, filters, windows and styles."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dblog import defaults, spooldir
from dblog.cli.render import Style
from dblog.config import load_settings
from dblog.errors import ConfigurationError, UsageError
from dblog.reading.filters import parse
from dblog.reading.window import make_window
from dblog.settings import Settings


class Number(click.FloatRange):
    """A number in a range; unlike `FloatRange` it does not take NaN for one."""

    _what = "a number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or a usage error."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not {self._what}", param, ctx)
        return number


class Seconds(Number):
    """A number of seconds."""

    _what = "a number of seconds"


Function = Callable[..., Any]


def location_options(function: Function) -> Function:
    """Add `--config` and `--dsn`; the function gets `config_path: Path | None` and `dsn: str | None`."""
    dsn = click.option(
        "--dsn",
        metavar="DSN",
        help="Where the database is: postgresql://user@host:port/name or host=... dbname=...  [env: DBLOG_DSN]",
    )
    return config_option(dsn(function))


def config_option(function: Function) -> Function:
    """Add `--config`; the function gets `config_path: Path | None`."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The configuration file.  [default: ./config.yml; env: DBLOG_CONFIG]",
    )(function)


def spool_dir_option(function: Function) -> Function:
    """Add `--spool-dir`; the function gets `spool_dir: str | None`."""
    return click.option(
        "--spool-dir",
        metavar="DIR",
        help="The spool directory, or auto.  [default: logging.database.spool_dir]",
    )(function)


def source_option(function: Function) -> Function:
    """Add `--from`; the function gets `source: str | None`."""
    return click.option(
        "--from",
        "source",
        metavar="TARGET",
        help="Deliver the rows of this database, as `dblog spool ls` names it, to the configured one.",
    )(function)


def with_spool_dir(function: Function) -> Function:
    """Add `--config` and `--spool-dir`, and give the function the `directory: Path` that they lead to.

    It is a directory, or is not there because nothing was written so far. No database need be configured.
    """

    @wraps(function)
    def found(*args: Any, config_path: Path | None, spool_dir: str | None, **kwargs: Any) -> Any:
        if spool_dir is None:
            settings = load_settings(config_path, need_database=False)
            directory = spool_directory(None, settings.logging.database.spool_dir)
        else:  # whatever is wrong with the configuration, it is not asked
            directory = spool_directory(spool_dir, spooldir.NONE)
        return function(*args, directory=directory, **kwargs)

    return config_option(spool_dir_option(found))


def form_option(function: Function) -> Function:
    """Add `--output` for a table or JSON; the function gets `output: str`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="How to show the answer.",
    )(function)


def spool_directory(given: str | None, setting: str) -> Path:
    """The spool directory: the one that was given, else the one of the setting; `auto` and `none` in both.

    Raises:
        UsageError: What was given leads nowhere, is not there, or is something else.
        ConfigurationError: The setting leads nowhere, or to something else.
    """
    name, value = ("--spool-dir", given) if given is not None else ("logging.database.spool_dir", setting)
    mistake = UsageError if given is not None else ConfigurationError
    if not value:
        raise mistake(f"{name}: '' is no directory; accepted: a path, or auto")
    is_path = given is not None and given not in (spooldir.AUTO, spooldir.NONE)
    found = Path(value) if is_path else spooldir.resolve(value)
    if found is None:
        why = "nothing is kept on disk" if value == spooldir.NONE else "this user has no directory to write to"
        raise mistake(f"{name}: {value!r}: {why}; accepted: a path, or --spool-dir")
    if is_path and not found.exists():
        raise mistake(f"{name}: {str(found)!r} does not exist")
    from dblog.sinks import survey  # for the few commands that look into a spool

    problem = survey.why_no_spool(found)
    if problem is not None:
        raise mistake(f"{name}: {str(found)!r} {problem}")
    return found


def settings_from(config_path: Path | None, dsn: str | None) -> Settings:
    """The settings that `--config` and `--dsn` lead to.

    Raises:
        ConfigurationError: The file cannot be read, a setting is wrong, or nothing says where the database is.
    """
    return load_settings(config_path, dsn=dsn)


def with_settings(function: Function) -> Function:
    """Add `--config` and `--dsn`, and give the function the `settings: Settings` that they lead to."""

    @wraps(function)
    def loaded(*args: Any, config_path: Path | None, dsn: str | None, **kwargs: Any) -> Any:
        return function(*args, settings=settings_from(config_path, dsn), **kwargs)

    return location_options(loaded)


def with_window(subject: str) -> Callable[[Function], Function]:
    """Add `--since`, `--until`, `--utc` and `--timeout`; `subject` says in the help what the window is of.

    The function gets `window: Window`, `zone: tzinfo | None` and `timeout: float`.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def bounded(*args: Any, since: str | None, until: str | None, utc: bool, **kwargs: Any) -> Any:
            zone = UTC if utc else None
            window = make_window(since, until, now=datetime.now(UTC), zone=zone)
            return function(*args, window=window, zone=zone, **kwargs)

        for option in (
            click.option(
                "--timeout",
                type=Seconds(0.001, 86_400),
                default=defaults.STATEMENT_TIMEOUT,
                show_default=True,
                metavar="SECONDS",
                help="How long a statement may run on the server.",
            ),
            click.option("--utc", is_flag=True, help="Read and show times in UTC instead of the local time zone."),
            click.option("--until", metavar="TIME", help=f"Only {subject} before this time.  [default: no end]"),
            click.option(
                "--since",
                metavar="TIME",
                help=f"Only {subject} from this time on: 15m, 2h30m, yesterday, 2026-11-21T10:00, ...  [default: 24h]",
            ),
        ):
            bounded = option(bounded)
        return bounded

    return decorate


def with_selection(function: Function) -> Function:
    """Add a filter and, as `with_window` does, the window of the records.

    The function gets `term: Filter` beside what `with_window` gives.
    """

    @wraps(function)
    def understood(*args: Any, terms: Sequence[str], **kwargs: Any) -> Any:
        return function(*args, term=parse(" ".join(terms)), **kwargs)

    return click.argument("terms", nargs=-1, metavar="[FILTER]...")(with_window("records")(understood))


def with_output(forms: Sequence[str]) -> Callable[[Function], Function]:
    """Add `--output`, of which the first form is the default, and `--color`.

    The function gets `style: Style` in place of `zone`, which `with_selection`, further out, gives.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def styled(*args: Any, output: str, color: str, zone: Any, **kwargs: Any) -> Any:
            return function(*args, style=Style(output, zone, _wants_colour(color)), **kwargs)

        colour = click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            help="When to use colours; auto: on a terminal, unless NO_COLOR is set.",
        )
        form = click.option(
            "-o",
            "--output",
            type=click.Choice(forms),
            default=forms[0],
            show_default=True,
            help="How to show the answer.",
        )
        return form(colour(styled))

    return decorate


def _wants_colour(color: str) -> bool:
    if color != "auto":
        return color == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
