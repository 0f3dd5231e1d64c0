"""Options that commands share, and how they become settings."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dblog.config import load_settings
from dblog.settings import Settings

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
