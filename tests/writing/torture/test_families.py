"""A parent and eight children at a time that log at once, and die in every way."""

import json
from pathlib import Path

import forking_app
import pytest
from programs import run_to_the_end
from servers import Database

from dblog.cli.main import run

PARTS = """
    SELECT split_part(message, ' ', 1), count(*), count(DISTINCT message), count(DISTINCT writer_id)
    FROM dblog_logs WHERE logger_name = 'family' GROUP BY 1
"""


@pytest.mark.parametrize("durability", ["memory", "journal"])
@pytest.mark.parametrize("rounds", [1, pytest.param(30, marks=pytest.mark.torture)])
def test_children_that_die_in_every_way(database: Database, tmp_path: Path, durability: str, rounds: int) -> None:
    """What children flush, close or end with in order is there once, and the parent keeps its session and its spool."""
    expected = json.loads(run_to_the_end(forking_app.__file__, database.dsn, tmp_path, durability, rounds))
    with database.connect() as connection:
        parts = {name: counts for name, *counts in connection.execute(PARTS)}
    assert parts == {name: [count, count, 1] for name, count in expected.items()}
    print(f"{durability}, {rounds} rounds: {sum(expected.values())} records of {len(expected) - 1} processes")
    assert run(["replay", "--dsn", database.dsn, "--spool-dir", str(tmp_path)]) == 0
    assert run(["verify", "--dsn", database.dsn]) == 0
    assert list(tmp_path.iterdir()) == []
