"""`dblog tail`: the last records, and what arrives."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from records import at, insert
from servers import Database

import dblog
from dblog.cli.main import run

TIMEOUT = 200.0


def test_the_last_records_are_shown(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Without `-f` the last ten records are shown, or as many as asked for."""
    with database.connect() as connection:
        insert(connection, *({"message": f"row {n}", "timestamp": at(minutes=30 - n)} for n in range(20)))
    assert run(["tail", "--dsn", database.dsn]) == 0
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        f"row {n}" for n in range(10, 20)
    ]
    assert run(["tail", "-n", "1", "--dsn", database.dsn, "row"]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_nothing_can_be_asked_for(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`-n 0` without `-f` shows nothing at all."""
    assert run(["tail", "-n", "0", "--dsn", database.dsn]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("form", ["json", "table", "csv"])
def test_following_needs_a_form_without_end(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A document that would never be complete is refused."""
    assert run(["tail", "-f", "-o", form, "--dsn", "dbname=x"]) == 2
    assert "accepted with --follow: text, jsonl" in capsys.readouterr().err


def test_each_line_comes_when_it_is_committed(database: Database) -> None:
    """A program that reads the pipe gets each record at once, also what was inserted before and committed later."""
    command = [sys.executable, "-m", "dblog", "tail", "-f", "-o", "jsonl", "--interval", "0.02", "--dsn", database.dsn]
    environment = os.environ | {"PYTHONPATH": str(Path(dblog.__file__).parents[1])}
    with database.connect() as late, database.connect() as connection:
        insert(connection, {"message": "before"})
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["message"] == "before"
            with late.transaction():
                insert(late, {"message": "late"})
                insert(connection, {"message": "soon"})
                assert json.loads(process.stdout.readline())["message"] == "soon"
            assert json.loads(process.stdout.readline())["message"] == "late"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=TIMEOUT)[0] == ""
