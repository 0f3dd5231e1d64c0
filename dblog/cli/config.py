"""`dblog config`: check, show or explain the configuration."""

import logging
import os
import sys
from collections.abc import Iterator
from datetime import time
from importlib import resources
from pathlib import Path
from typing import Any, Final

import click
import yaml
from pydantic import SecretStr

from dblog.cli.options import location_options, settings_from
from dblog.config import DEFAULT_PATH
from dblog.errors import ConfigurationError
from dblog.escapes import printable
from dblog.fields import Section
from dblog.validation import ENVIRONMENT_PREFIX

HIDDEN: Final = "********"
SECRET_PARTS: Final = frozenset({"password", "sslpassword", "oauth_client_secret"})
"""Parts of a connection string that are not shown."""


@click.group("config")
def command() -> None:
    """Check, show or explain the configuration."""


@command.command("check")
@location_options
@click.pass_context
def check(ctx: click.Context, config_path: Path | None, dsn: str | None) -> None:
    """Read the configuration as an application would.

    Each mistake is a line, and the exit code is then 2.
    """
    try:
        settings_from(config_path, dsn)
    except ConfigurationError as error:
        for problem in error.problems:
            sys.stderr.write(f"dblog: error: {printable(problem)}\n")
        ctx.exit(2)
    click.echo(f"the configuration is right ({', '.join(_sources(config_path, dsn)) or 'defaults alone'})")


@command.command("show")
@location_options
def show(config_path: Path | None, dsn: str | None) -> None:
    """Print the settings in force as YAML, without secrets.

    The comments above name what they were read from.
    """
    settings = settings_from(config_path, dsn)
    for source in _sources(config_path, dsn):
        click.echo(f"# from {printable(source)}")
    click.echo(yaml.safe_dump(_shown(settings), sort_keys=False, allow_unicode=True), nl=False)


@command.command("example")
def example() -> None:
    """Print a config.yml with every key, its default and its meaning."""
    click.echo(resources.files("dblog.cli").joinpath("example.yml").read_text(encoding="utf-8"), nl=False)


def _sources(config_path: Path | None, dsn: str | None) -> Iterator[str]:
    """What the settings were read from, the strongest first."""
    if dsn:
        yield "--dsn"
    yield from sorted(name for name in os.environ if _is_setting(name) and os.environ[name])
    path = config_path or os.environ.get("DBLOG_CONFIG") or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)
    if path:
        yield str(path)


def _is_setting(name: str) -> bool:
    return name == "DBLOG_DSN" or (name.startswith(ENVIRONMENT_PREFIX) and "__" in name)


def _shown(section: Section) -> dict[str, Any]:
    fields = type(section).model_fields
    return {field.alias or name: _plain(name, getattr(section, name)) for name, field in fields.items()}


def _plain(name: str, value: object) -> object:
    match value:
        case Section():
            return _shown(value)
        case SecretStr():
            return _hidden(value.get_secret_value()) if name == "dsn" else HIDDEN
        case str() if name == "webhook_url":  # its path is often the token
            return HIDDEN
        case int() if name in ("file_mode", "dir_mode"):
            return f"{value:04o}"
        case time():
            return value.isoformat()
        case dict() if name == "components":
            return {key: _level_name(level) for key, level in value.items()}
        case dict() if name == "levels":
            return {_level_name(level): days for level, days in value.items()}
        case tuple():
            return list(value)
        case Path():
            return str(value)
        case int() if not isinstance(value, bool):
            return _level_name(value) if name in ("level", "flush_level") else int(value)
    return value


def _level_name(level: int) -> str | int:
    """The name, where there is one that the configuration would accept."""
    name = logging.getLevelName(level)
    return name if name in logging.getLevelNamesMapping() else level


def _hidden(dsn: str) -> str:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = conninfo_to_dict(dsn)
    return make_conninfo(**{key: HIDDEN if key in SECRET_PARTS else str(value) for key, value in parts.items()})
