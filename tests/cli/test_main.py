"""The `dblog` command itself: what it imports, how it fails, and its exit codes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from records import at, fill, insert
from servers import Database

import dblog
from dblog.cli import main as cli
from dblog.cli.main import COMMANDS, run

ROOT = Path(dblog.__file__).parents[1]
TIMEOUT = 200.0


def start(*arguments: str, text: str = "") -> subprocess.Popen[str]:
    """A process of its own: the command, or a piece of Python."""
    what = ["-c", text] if text else ["-m", "dblog", *arguments]
    return subprocess.Popen(
        [sys.executable, *what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("group", ["", "spool", "rejected", "config"])
def test_help_cuts_no_sentence(group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With 80 columns the list of commands says of each what it does, to the end of the sentence."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*group.split(), "--help"]) == 0
    shown = capsys.readouterr().out.partition("Commands:\n")[2]
    assert shown
    assert "..." not in shown


def test_help_needs_no_heavy_imports() -> None:
    """The list of commands is shown without SQLAlchemy, Alembic, psycopg, pydantic or rich."""
    heavy = ("sqlalchemy", "alembic", "psycopg", "pydantic", "rich")
    code = "import sys; from dblog.cli.main import run; run(['--help']); "
    code += f"print(*(set({heavy}) & set(sys.modules)), file=sys.stderr)"
    with start(text=code) as process:
        out, err = process.communicate(timeout=TIMEOUT)
    assert all(name in out for name in COMMANDS)
    assert err.strip() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command that the list promises can be imported and explains itself."""
    assert run([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: dblog {name}")


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """`dblog` alone shows the help and is a mistake."""
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().out


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the program."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dblog ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["qeury"], 2, "no such command: 'qeury'; did you mean query?"),
        (["frobnicate"], 2, "accepted: init, query, tail"),
        (["query", "-n", "many"], 2, "'many' is not a valid integer"),
        (["query", "--sicne", "1h"], 2, "No such option"),
        (["query", "levl:x", "--dsn", "dbname=x"], 2, "unknown field levl; did you mean level?"),
        (["query", "--since", "soon", "--dsn", "dbname=x"], 2, "--since: 'soon' is not a time"),
        (["query", "--config", "/no/such.yml"], 2, "/no/such.yml: cannot be read"),
        (["query", "--dsn", "nonsense"], 2, "database.dsn: is not a connection string"),
        (["query", "--dsn", "host=/nowhere"], 1, "no connection to the server"),
        (["query", "--dsn", "host=nowhere.invalid"], 1, "the name of the host cannot be resolved"),
        (["query", "--timeout", "nan"], 2, "'nan' is not a number of seconds"),
        (["query", "bell\x07 a)", "--dsn", "dbname=x"], 2, "position 8"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every failure is one line on stderr that begins with `dblog: error:`, and a fitting exit code."""
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dblog: error: ")
    assert err.count("\n") == 1
    assert said in err


def test_missing_tables_are_named(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Without tables the error says which command makes them."""
    assert run(["query", "--dsn", empty_database.dsn]) == 1
    assert "run `dblog init`" in capsys.readouterr().err


def test_an_unforeseen_error_shows_no_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in the program is told by its kind and place; its text, which may hold secrets, is not shown."""

    @click.command("broken")
    def broken() -> None:
        raise KeyError("password")

    monkeypatch.setitem(COMMANDS, "broken", "")
    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: broken)
    assert run(["broken"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("dblog: error: unexpected KeyError at test_main.py:")
    assert "password" not in err


def test_a_reader_that_goes_away_ends_it_quietly(database: Database) -> None:
    """`dblog query | head` ends without a word on stderr."""
    with database.connect() as connection:
        fill(connection, 20_000, start=at(hours=12), step=at(seconds=0) - at(seconds=1))
    with start("query", "-n", "0", "--dsn", database.dsn) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "row 1" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(TIMEOUT) == cli.READER_GONE


def test_ctrl_c_ends_it_quietly(database: Database) -> None:
    """Ctrl-C while following ends with 130 and without a traceback."""
    with database.connect() as connection:
        insert(connection, {"message": "ready"})
    with start("tail", "-f", "--dsn", database.dsn) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == cli.INTERRUPTED
    assert err == ""
