"""From `config.yml`, environment variables and arguments to `Settings`, with an error for every mistake at once.

Strongest first: an explicit DSN argument, `DBLOG_` variables, the file, the defaults. `PG*` variables and `PGSERVICE`
fill in what none of them says about the connection, because libpq reads them itself.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dblog.errors import ConfigurationError
from dblog.files.settings import FileSettings, StreamSettings
from dblog.settings import HandlerSettings, Settings
from dblog.validation import ENVIRONMENT_PREFIX, all_paths, validated

DEFAULT_PATH = Path("config.yml")
LOCATION_KEYS = frozenset({"dsn", "host", "port", "username", "password", "database"})
LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")
STRUCTURED_KEYS = frozenset(
    {
        ("logging", "components"),
        ("logging", "database", "mask_keys"),
        ("logging", "database", "retention", "levels"),
        ("logging", "database", "retention", "loggers"),
    }
)

Tree = dict[str, Any]


def load_settings(
    source: str | Path | Mapping[str, object] | Settings | None = None,
    *,
    dsn: str | None = None,
    need_database: bool = True,
) -> Settings:
    """Read, merge and validate the settings.

    Args:
        source: A path to a YAML file, a mapping of the same shape, or finished settings, which are returned as they
            are. None: the file that `DBLOG_CONFIG` names, else `./config.yml` where there is one.
        dsn: A connection string that takes the place of everything else that says where the database is.
        need_database: Refuse settings that do not say where the database is, unless logging into it is off.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; all mistakes are named.
    """
    if isinstance(source, Settings):
        if dsn:
            raise TypeError("dsn goes with a file or a mapping, not with finished settings")
        return source
    tree, variables = _read(source), _from_environment(os.environ)
    if variable := os.environ.get("DBLOG_DSN"):
        _drop_location(tree)
        _drop_location(variables, but="password")
        _section(variables, "database")["dsn"] = variable
    _merge(tree, variables)
    if dsn:
        _drop_location(tree)
        _section(tree, "database")["dsn"] = dsn
    settings = validated(Settings, tree)
    if need_database:
        _require_a_database(settings)
    return settings


def handler_settings(arguments: Mapping[str, object]) -> HandlerSettings:
    """Validate the arguments of a handler; without a DSN, `DBLOG_DSN` says where the database is.

    Raises:
        ConfigurationError: An argument is wrong; all mistakes are named.
    """
    given = {**arguments, "dsn": arguments.get("dsn") or os.environ.get("DBLOG_DSN", "")}
    return validated(HandlerSettings, given)


def file_settings(arguments: Mapping[str, object]) -> FileSettings:
    """Validate the arguments of a `ResilientRotatingFileHandler`.

    Raises:
        ConfigurationError: An argument is wrong; all mistakes are named.
    """
    return validated(FileSettings, arguments)


def stream_settings(arguments: Mapping[str, object]) -> StreamSettings:
    """Validate the arguments of a `LogManager`.

    Raises:
        ConfigurationError: An argument is wrong or unknown; all mistakes are named.
    """
    if "backup_count" in arguments:  # the field's own name, which pydantic would take
        raise ConfigurationError("backup_count: unknown key; did you mean max_files?")
    return validated(StreamSettings, arguments)


def _read(source: str | Path | Mapping[str, object] | None) -> Tree:
    if isinstance(source, Mapping):
        return _without_nulls(source)
    if source is None:
        source = os.environ.get("DBLOG_CONFIG") or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)
    if source is None:
        return {}
    from dblog import yamlfile  # where there is a file

    return _without_nulls(yamlfile.read(Path(source)))


def _without_nulls(tree: Mapping[Any, object]) -> Tree:
    """A key without a value is a key that was not given."""
    return {
        key: _without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if value is not None
    }


def _section(tree: Tree, name: str) -> Tree:
    section = tree.setdefault(name, {})
    return section if isinstance(section, dict) else {}


def _drop_location(tree: Tree, *, but: str = "") -> None:
    """Forget where the database is; a password may stay, which completes a DSN without one."""
    database = _section(tree, "database")
    for key in (LOCATION_KEYS - {but}) & database.keys():
        del database[key]


def _merge(tree: Tree, stronger: Tree) -> None:
    for key, value in stronger.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _from_environment(environ: Mapping[str, str]) -> Tree:
    tree: Tree = {}
    for name, value in sorted(environ.items()):  # what gives a whole mapping comes before what adds to it
        path = _path_of(name)
        if path and value:
            branch = tree
            for key in path[:-1]:
                branch = branch.setdefault(key, {})
                if not isinstance(branch, dict):
                    raise ConfigurationError(f"{name}: {key} has a value already, by another variable")
            branch[path[-1]] = _structured(name, value) if path in STRUCTURED_KEYS else value
    return tree


def _path_of(name: str) -> tuple[str, ...]:
    """The setting that a variable names; empty for others, of which Kubernetes makes many for a service `dblog`."""
    if not name.startswith(ENVIRONMENT_PREFIX):
        return ()
    rest = name.removeprefix(ENVIRONMENT_PREFIX)
    if "__" not in rest:
        for path in all_paths(Settings):
            if len(path) > 1 and rest.lower() == "_".join(path):
                meant = ENVIRONMENT_PREFIX + "__".join(path).upper()
                raise ConfigurationError(f"{name}: unknown variable; did you mean {meant}?")
        return ()
    first, *others = rest.split("__")
    if [key.lower() for key in (first, *others[:1])] == ["logging", "components"] and len(others) > 1:
        return ("logging", "components", "__".join(others[1:]))  # names of loggers keep their case
    return tuple(key.lower() for key in (first, *others))


def _structured(name: str, value: str) -> object:
    from dblog import yamlfile

    return yamlfile.parse(name, value)


def _require_a_database(settings: Settings) -> None:
    database = settings.database
    said = database.dsn or database.host or database.database or database.username
    if settings.logging.database.enabled and not said and not any(map(os.environ.get, LIBPQ_VARIABLES)):
        raise ConfigurationError(
            "database: the section is missing or does not say where the database is; give database.dsn or "
            "database.host, DBLOG_DSN, or PGHOST or PGSERVICE (or set logging.database.enabled to false)"
        )
