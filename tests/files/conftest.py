"""Handlers for the tests of log files, closed whatever happens."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from dblog.files.handler import ResilientRotatingFileHandler

MakeHandler = Callable[..., ResilientRotatingFileHandler]


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """Where the log file of a test is."""
    return tmp_path / "app.log"


@pytest.fixture
def make_handler(log_path: Path) -> Iterator[MakeHandler]:
    """Makes handlers for the file of the test: UTF-8 and the message alone."""
    with ExitStack() as stack:

        def make(**arguments: Any) -> ResilientRotatingFileHandler:
            handler = ResilientRotatingFileHandler(**{"filename": log_path, "encoding": "utf-8", **arguments})
            handler.setFormatter(logging.Formatter("%(message)s"))
            stack.enter_context(closing(handler))
            return handler

        yield make
