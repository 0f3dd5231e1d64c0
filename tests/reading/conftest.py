"""A connection by which the tests of this folder put records into the tables and take them out again."""

from collections.abc import Iterator

import psycopg
import pytest
from servers import Database


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """A connection of the owner, in autocommit mode."""
    with database.connect() as owner:
        yield owner
