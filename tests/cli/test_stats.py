"""`dblog stats`: the figures as tables and as JSON."""

import json

import pytest
from records import insert
from servers import Database

from dblog.cli.main import run


@pytest.fixture
def filled(database: Database) -> Database:
    """Records of two levels and two loggers."""
    with database.connect() as connection:
        insert(
            connection,
            {"logger_name": "a"},
            {"logger_name": "b", "level": "ERROR", "level_no": 40},
            {"logger_name": "a"},
        )
    return database


def test_figures_are_tables(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """The default output has the number of records and a table each for levels, loggers, hours and partitions."""
    assert run(["stats", "--dsn", filled.dsn]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 records since ")
    assert all(title in out for title in ("Levels", "Busiest loggers", "Hours", "Partitions", "dblog_logs_p"))


def test_figures_are_json(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`-o json` prints one object with the same figures, narrowed by the filter."""
    assert run(["stats", "-o", "json", "--utc", "--dsn", filled.dsn, "level<error"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["records"] == 2
    assert found["levels"] == [{"level": "INFO", "records": 2}]
    assert found["loggers"] == [{"logger": "a", "records": 2}]
    assert [hour["records"] for hour in found["hours"]] == [2]
    assert {part["bytes"] > 0 for part in found["partitions"]} == {True}


def test_a_mistake_in_the_filter_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The filter language is the same as that of `dblog query`."""
    assert run(["stats", "levl:x", "--dsn", "dbname=x"]) == 2
    assert "did you mean level?" in capsys.readouterr().err
