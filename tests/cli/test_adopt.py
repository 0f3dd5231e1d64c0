"""`dblog adopt`."""

import json

import pytest
from ancestor import adopted, make_ancestor, make_table
from servers import Database

from dblog.cli.main import run


def test_adopting_from_the_command_line(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer says how many rows were adopted; a second run finds nothing new, and `verify` proves all of them."""
    make_ancestor(database, 5)
    assert run(["adopt", "app_logs", "--dsn", database.dsn, "--batch-rows", "2"]) == 0
    assert "public.app_logs: 5 rows adopted into public.dblog_logs in 3 batches" in capsys.readouterr().out
    assert run(["adopt", "public.app_logs", "--dsn", database.dsn, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"table": "public.app_logs", "rows": 0, "batches": 0, "upto": 5}
    assert run(["verify", "--dsn", database.dsn]) == 0
    assert len(adopted(database)) == 5


def test_a_dry_run_changes_nothing(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` shows rows, size, times and what becomes of the columns, also as JSON, and takes nothing."""
    make_table(
        database,
        "timestamp timestamptz, level text, message text, request_id text",
        "'2024-01-01 10:00Z', 'INFO', 'm', 'x'",
        "now(), 'INFO', 'm', 'y'",
    )
    with database.connect() as connection:
        connection.execute("ANALYZE app_logs")
    assert run(["adopt", "app_logs", "--dsn", database.dsn, "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "about 2 rows to adopt" in printed.out
    assert "from 2024-01-01 10:00:00.000Z to" in printed.out
    assert "into extra_data: request_id" in printed.out
    assert "older than 365 days" in printed.err
    assert run(["adopt", "app_logs", "--dsn", database.dsn, "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["adopted"], found["into_extra"]) == (2, 0, ["request_id"])
    assert adopted(database) == []


def test_a_missing_time_zone_is_asked_for(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Times without a zone are not guessed, and a zone that the server does not know is refused."""
    make_table(database, "timestamp timestamp, level text, message text", "now(), 'INFO', 'm'")
    assert run(["adopt", "app_logs", "--dsn", database.dsn]) == 2
    assert "timestamp without a time zone; say with --time-zone" in capsys.readouterr().err
    assert run(["adopt", "app_logs", "--dsn", database.dsn, "--time-zone", "Mars/Base"]) == 2
    assert "'Mars/Base' is no time zone" in capsys.readouterr().err
    assert run(["adopt", "app_logs", "--dsn", database.dsn, "--time-zone", "europe/berlin"]) == 0


def test_an_open_transaction_is_said(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the old application holds a transaction open, that is said first, and after the time limit it is named."""
    make_ancestor(database, 1)
    with database.connect() as other, other.transaction():
        other.execute("DELETE FROM app_logs WHERE false")
        assert run(["adopt", "app_logs", "--dsn", database.dsn, "--wait", "0"]) == 1
        err, pid = capsys.readouterr().err, other.info.backend_pid
    assert "waiting for transactions" in err
    assert f"process {pid} has written to public.app_logs" in err


def test_what_is_no_table_is_one_line(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A table that is not there is a mistake of the command line."""
    assert run(["adopt", "nowhere", "--dsn", database.dsn]) == 2
    assert capsys.readouterr().err.count("\n") == 1
