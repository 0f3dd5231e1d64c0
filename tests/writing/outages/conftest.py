"""Applications under outages, and roles that the tests may lock out."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from application import Application

from dblog import DatabaseLogHandler


@pytest.fixture
def start(
    make_handler: Callable[..., DatabaseLogHandler],
    attach: Callable[..., logging.Logger],
    assert_conserved: Callable[[DatabaseLogHandler], None],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., Application]]:
    """A function that starts an application with small batches and a spool; its output is checked at the end."""
    made: list[tuple[Application, str]] = []

    def make(dsn: str, **arguments: Any) -> Application:
        # A backend that outlives a killed postmaster may wait for a helper process that does not: not for long here.
        chosen = {"flush_interval": 0.02, "batch_size": 50, "spool_dir": tmp_path / "spool", "query_timeout": 5.0}
        handler = make_handler(dsn, **(chosen | arguments))
        made.append((Application(handler, attach(handler), assert_conserved, capfd), dsn))
        return made[-1][0]

    yield make
    for application, dsn in made:
        application.check_output(dsn)
