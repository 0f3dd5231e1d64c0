"""A gate before the test's database."""

from collections.abc import Iterator

import pytest
from gates import Gate, gate_to
from servers import Database


@pytest.fixture
def gate(database: Database) -> Iterator[Gate]:
    """Closes and opens the test's database for the applications under test."""
    with gate_to(database) as made:
        yield made
