"""Sinks on the test's database."""

from collections.abc import Callable, Iterator
from typing import Any

import batches
import pytest
from servers import Database

from dblog.sinks.postgres import PostgresSink


@pytest.fixture
def make_sink(database: Database) -> Iterator[Callable[..., PostgresSink]]:
    """A function that makes sinks for the test's database, or another one, and closes them at the end."""
    made: list[PostgresSink] = []

    def make(conninfo: str = database.dsn, **values: Any) -> PostgresSink:
        made.append(batches.sink(conninfo, **values))
        return made[-1]

    yield make
    for each in made:
        each.close()
