"""Connections of the keeping side."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from servers import Database

from dblog.store.engine import keeping
from dblog.store.names import Names


@pytest.fixture
def kept(database: Database) -> Iterator[tuple[sa.Connection, Names]]:
    """A connection of the keeping side to a migrated database."""
    with keeping(database.settings.database) as (connection, names):
        yield connection, names
