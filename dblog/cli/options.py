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

from dblog import defaults
from dblog.cli.render import Style
from dblog.config import load_settings
from dblog.reading.filters import parse
from dblog.reading.window import make_window
from dblog.settings import Settings


class Seconds(click.FloatRange):
    """A number of seconds; unlike `FloatRange` it does not take NaN for a number in the range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or a usage error."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


Function = Callable[..., Any]


def location_options(function: Function) -> Function:
    """Add `--config` and `--dsn`; the function gets `config_path: Path | None` and `dsn: str | None`."""
    config = click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The configuration file.  [default: ./config.yml; env: DBLOG_CONFIG]",
    )
    dsn = click.option(
        "--dsn",
        metavar="DSN",
        help="Where the database is: postgresql://user@host:port/name or host=... dbname=...  [env: DBLOG_DSN]",
    )
    return config(dsn(function))


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


def with_selection(function: Function) -> Function:
    """Add a filter, `--since`, `--until`, `--utc` and `--timeout`.

    The function gets `term: Filter`, `window: Window`, `zone: tzinfo | None` and `timeout: float`.
    """

    @wraps(function)
    def understood(*args: Any, terms: Sequence[str], since: str | None, until: str | None, **kwargs: Any) -> Any:
        zone = UTC if kwargs.pop("utc") else None
        window = make_window(since, until, now=datetime.now(UTC), zone=zone)
        return function(*args, term=parse(" ".join(terms)), window=window, zone=zone, **kwargs)

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
        click.option("--until", metavar="TIME", help="Only records before this time.  [default: no end]"),
        click.option(
            "--since",
            metavar="TIME",
            help="Only records from this time on: 15m, 2h30m, yesterday, 2026-11-21T10:00, ...  [default: 24h]",
        ),
        click.argument("terms", nargs=-1, metavar="[FILTER]..."),
    ):
        understood = option(understood)
    return understood


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
