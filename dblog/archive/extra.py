"""The libraries of the extra `archive`, imported when they are needed."""

import importlib
from typing import Any

from dblog.errors import DblogError


def needed(module: str) -> Any:
    """Import a module of the extra.

    Raises:
        DblogError: It is not installed; says how it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise DblogError(f'the archive needs {missing}: pip install "dblog[archive]"') from None
