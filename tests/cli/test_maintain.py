"""`dblog maintain`."""

import json
import os
import signal
import subprocess
import sys

import pytest
from programs import IMPORTABLE, TIMEOUT
from records import at, insert
from servers import Database

from dblog.cli.main import run


def due(database: Database, days: int = 370) -> str:
    """Make a partition that is due; returns its name."""
    with database.connect() as connection:
        made = connection.execute("SELECT dblog_make_partition(%s)", [at(days=days)]).fetchall()
        return str(made[0][0])


def exists(database: Database, table: str) -> bool:
    """Whether a table is there."""
    with database.connect() as connection:
        return connection.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,)


def test_one_run_says_what_it_did(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`--once` does the work of a prune and prints one line with its time; with nothing to do it says that."""
    old = due(database)
    assert run(["maintain", "--once", "--dsn", database.dsn]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("+00:00 2 dropped")
    assert not exists(database, old)
    assert run(["maintain", "--once", "--dsn", database.dsn]) == 0
    assert capsys.readouterr().out.endswith(" nothing to do\n")


def test_a_refusal_is_told(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """What the guard refuses is an error of `--once` that names the doubt, in JSON a `problem`."""
    for days in range(370, 381):
        due(database, days)
    assert run(["maintain", "--once", "--dsn", database.dsn]) == 1
    assert "error: refused: more than half" in capsys.readouterr().err
    assert run(["maintain", "--once", "--json", "--dsn", database.dsn]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["problem"].startswith("refused: more than half")
    assert err == ""


def test_an_unreachable_database_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the server does not answer, a line on stderr says so."""
    assert run(["maintain", "--once", "--dsn", "host=127.0.0.1 port=1"]) == 1
    assert "dblog: error: PostgreSQL at" in capsys.readouterr().err


@pytest.mark.parametrize("every", ["0s", "8d", "soon", "", "1", "-1h", "99999999999h"])
def test_a_bad_interval_is_refused(every: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no interval, or too short or long, is named with what is accepted."""
    assert run(["maintain", f"--every={every}", "--dsn", "host=127.0.0.1 port=1"]) == 2
    assert f"'--every': {every!r} is no interval" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_told_to_end(database: Database, ending: signal.Signals) -> None:
    """It goes on from run to run, whatever happens in between, and ends in order, with 0, by either signal."""
    with subprocess.Popen(
        [sys.executable, "-m", "dblog", "maintain", "--every", "1s", "--dsn", database.dsn],
        env={**os.environ, "PYTHONPATH": IMPORTABLE, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith("nothing to do\n")
        with database.connect() as connection:
            insert(connection, {})
            connection.execute("ALTER TABLE dblog_settings RENAME TO elsewhere")
            assert "dblog: error:" in process.stderr.readline()
            connection.execute("ALTER TABLE elsewhere RENAME TO dblog_settings")
        old = due(database)
        while not process.stdout.readline().endswith("2 dropped\n"):
            pass
        assert not exists(database, old)
        process.send_signal(ending)
        assert process.wait(TIMEOUT) == 0
        process.stdout.read()
        assert "Traceback" not in process.stderr.read()
