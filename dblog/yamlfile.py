"""YAML as `config.yml` and some variables have it: strict about keys, and with errors that quote nothing secret."""

import re
from pathlib import Path
from typing import Any

import yaml

from dblog.errors import ConfigurationError


def read(path: Path) -> dict[Any, object]:
    """The mapping in a file; an empty one where the file is empty.

    Raises:
        ConfigurationError: The file cannot be read, is not YAML, or holds something else.
    """
    try:
        with path.open("rb") as file:  # bytes: YAML itself tells UTF-8 from UTF-16
            loaded = yaml.load(file, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = re.sub("'[^']*'", "'...'", error.problem or error.context or "")  # what it quotes may be a password
        raise ConfigurationError(f"{path}{where}: not valid YAML: {problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigurationError(f"{path}: not valid YAML: it has characters that YAML does not allow") from None
    except (ValueError, RecursionError):  # a date or number that does not exist, or lists in lists without end
        raise ConfigurationError(f"{path}: not valid YAML: a value cannot be understood") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigurationError(f"{path}: must hold the sections logging and database, not a {type(loaded).__name__}")
    return loaded


def parse(name: str, value: str) -> object:
    """The list or mapping in a variable.

    Raises:
        ConfigurationError: The variable, called by its name, is not YAML.
    """
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigurationError(f"{name}: {value!r} is not a list or mapping in YAML or JSON") from None


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice, where PyYAML silently lets the last one win."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[object, object]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            mark = node.value[index][0].start_mark
            raise yaml.constructor.ConstructorError(None, None, f"the key {key} is given twice", mark)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
