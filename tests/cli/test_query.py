"""`dblog query`: answers in every form, and what it says when there are none."""

import csv
import io
import json

import pytest
from records import at, insert
from servers import Database

from dblog.cli.main import run
from dblog.cli.render import COLUMNS


@pytest.fixture
def filled(database: Database) -> Database:
    """Three records: two ordinary ones and a failure with everything."""
    with database.connect() as connection:
        insert(
            connection,
            {"message": "first", "timestamp": at(minutes=3)},
            {"message": "second", "timestamp": at(minutes=2), "logger_name": "app.db"},
            {
                "message": "failed\nbadly",
                "timestamp": at(minutes=1),
                "level": "ERROR",
                "level_no": 40,
                "exception_type": "ValueError",
                "exception": "Traceback (most recent call last):\nValueError: no",
                "extra_data": {"user_id": 42, "note": "two words"},
            },
        )
    return database


def ask(database: Database, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """What a query prints on stdout and stderr."""
    assert run(["query", "--dsn", database.dsn, *arguments]) == code
    out, err = capsys.readouterr()
    return out, err


def test_text_is_one_line_a_record(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """The default output has a line for each record, oldest first, with extras, and the exception indented below."""
    out, err = ask(filled, capsys, "--utc")
    lines = out.splitlines()
    assert lines[0].endswith("Z web-1[4242] INFO     app: first")
    assert lines[1].endswith("INFO     app.db: second")
    assert lines[2].endswith('ERROR    app: failed note="two words" user_id=42')
    assert lines[3:] == ["    badly", "    Traceback (most recent call last):", "    ValueError: no"]
    assert err == ""


def test_a_filter_of_several_arguments_is_one_filter(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Terms may be one quoted argument or several; a dash needs `--` in front."""
    assert "second" in ask(filled, capsys, "logger:app.*", "-n", "5", "second")[0]
    assert len(ask(filled, capsys, "--", "-failed", "-first")[0].splitlines()) == 1


def test_json_lines_hold_every_column(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is an object with all columns, in which numbers are numbers and extra_data is an object."""
    rows = [json.loads(line) for line in ask(filled, capsys, "-o", "jsonl")[0].splitlines()]
    assert [tuple(row) for row in rows] == [COLUMNS] * 3
    assert rows[2]["extra_data"] == {"user_id": 42, "note": "two words"}
    assert rows[2]["level_no"] == 40
    assert rows[2]["message"] == "failed\nbadly"
    assert rows[0]["exception"] is None


def test_json_is_an_array(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`-o json` prints one document, which is an empty array where nothing matches."""
    assert [row["message"] for row in json.loads(ask(filled, capsys, "-o", "json", "-n", "2")[0])] == [
        "second",
        "failed\nbadly",
    ]
    out, err = ask(filled, capsys, "-o", "json", "nothing like this")
    assert json.loads(out) == []
    assert "no record matches" in err


def test_csv_can_be_read_back(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`-o csv` begins with the names of the columns and keeps line breaks within a field."""
    rows = list(csv.DictReader(io.StringIO(ask(filled, capsys, "-o", "csv")[0])))
    assert tuple(rows[0]) == COLUMNS
    assert rows[2]["message"] == "failed\nbadly"
    assert json.loads(rows[2]["extra_data"]) == {"user_id": 42, "note": "two words"}
    assert rows[0]["exception"] == ""


def test_a_table_is_not_cut_when_piped(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no terminal is, neither a line of text nor a row of a table is wrapped or cut."""
    long = "word " * 200 + "end"
    with database.connect() as connection:
        insert(connection, {"message": long})
    for form in ("text", "table"):
        assert long in ask(database, capsys, "-o", form)[0]


def test_an_empty_answer_says_where_it_looked(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a match, stderr names the window that was searched and the newest record; that is no failure."""
    assert ask(database, capsys)[1].splitlines()[1] == "dblog: the table dblog_logs is empty"
    newest = at(days=3)
    with database.connect() as connection:
        insert(connection, {"timestamp": newest})
    out, err = ask(database, capsys, "--utc", "--since", "2h", "--until", "1h")
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("dblog: no record matches from 20")
    assert (
        second
        == f"dblog: the newest record of dblog_logs is of {newest:%Y-%m-%d %H:%M:%S}.{newest:%f}"[:-3] + "Z, 3 days ago"
    )


def test_a_table_needs_a_limit(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of all records, which would have to be held in memory, is refused."""
    assert "accepted with -n 0" in ask(database, capsys, "-n", "0", "-o", "table", code=2)[1]


def test_a_statement_has_a_time_limit(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A query that runs too long on the server ends with one line that says so."""
    with database.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE dblog_logs IN ACCESS EXCLUSIVE MODE")
        err = ask(database, capsys, "--timeout", "0.05", code=1)[1]
    assert "the statement ran into its time limit" in err


@pytest.mark.parametrize(
    ("arguments", "environment", "coloured"),
    [
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {}, False),
        ([], {}, False),
    ],
)
def test_colour_is_for_terminals(
    filled: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    coloured: bool,
) -> None:
    """There is no colour where the output is no terminal, unless it is asked for."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[31mERROR" in ask(filled, capsys, *arguments)[0]) is coloured
