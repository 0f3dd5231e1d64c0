"""`dblog rejected`: rows that PostgreSQL refused, and another try for them."""

import json
from pathlib import Path
from typing import Any

import pytest
from delivered import messages
from eventually import eventually
from servers import Database
from spooled import NOWHERE, batch_of, open_spool, shop

from dblog.batch import Rejected
from dblog.cli.main import run
from dblog.sinks import survey

WRITER = "0123456789abcdef" * 2


def refuse(directory: Path, dsn: str, *texts: str, seq: int = 1, reason: str = "a reason") -> str:
    """Be a writer of whose batch these rows were refused; returns the key."""
    spool = open_spool(directory, dsn, WRITER)
    batch = batch_of(WRITER, seq, *texts, level=40)
    spool.set_aside(batch, [Rejected(row, reason) for row in batch.payload.splitlines(keepends=True)])
    spool.confirm(batch.key)
    spool.close()
    return f"{batch.key.birth_day}-{WRITER}-{seq}"


def forbid(database: Database, *texts: str) -> None:
    """Have the table refuse messages, and no others."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE dblog_logs DROP CONSTRAINT IF EXISTS fine")
        if texts:
            allowed = " AND ".join(f"message <> '{text}'" for text in texts)
            connection.execute(f"ALTER TABLE dblog_logs ADD CONSTRAINT fine CHECK ({allowed})")


def listed(directory: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `ls` says in JSON."""
    assert run(["rejected", "ls", "--spool-dir", str(directory), "-o", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_refused_rows_are_listed_and_delivered_once_they_can_be(
    database: Database, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that PostgreSQL refused is kept with its reason, and comes into the table after the cause is gone."""
    forbid(database, "bad")
    with shop(directory, database.dsn) as running:
        running.log("good", "bad")
        eventually(lambda: survey.rejected(directory), "a refused row")
        running.close()
    (kept,) = listed(directory, capsys)
    assert (kept["rows"], kept["levels"], kept["first_message"]) == (1, {"30": 1}, "bad")
    assert "fine" in kept["reason"]
    assert run(["rejected", "ls", "--spool-dir", str(directory)]) == 0
    assert kept["key"] in capsys.readouterr().out
    arguments = ["rejected", "retry", "--dsn", database.dsn, "--spool-dir", str(directory), "--all"]
    assert run(arguments) == 1
    assert "0 rows delivered, 1 refused once more" in capsys.readouterr().out
    assert [each["first_message"] for each in listed(directory, capsys)] == ["bad"]
    forbid(database)
    assert run(arguments) == 0
    assert "1 row delivered, 0 refused" in capsys.readouterr().out
    assert listed(directory, capsys) == []
    assert run(arguments) == 0
    assert capsys.readouterr().out == f"nothing was set aside in {directory}\n"
    found = messages(database.dsn)
    assert (found["good"], found["bad"]) == (1, 1)


def test_some_keys_can_be_tried_alone(database: Database, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the KEYs that were given are tried; what is refused once more has its new reason and a new key."""
    forbid(database, "two")
    first, second = (refuse(directory, database.dsn, "one", "two", seq=seq) for seq in (1, 2))
    assert run(["rejected", "retry", "--dsn", database.dsn, "--spool-dir", str(directory), first]) == 1
    out = capsys.readouterr().out
    assert "1 row delivered, 1 refused once more" in out
    by_key = {each["key"]: each for each in listed(directory, capsys)}
    assert by_key.pop(second)["reason"] == "a reason"
    (again,) = by_key.values()
    assert (again["rows"], again["first_message"]) == (1, "two")
    assert "fine" in again["reason"]
    assert f"{first}: refused again under {again['key']}\n" in out
    forbid(database)
    assert run(["rejected", "retry", "--dsn", database.dsn, "--spool-dir", str(directory), again["key"]]) == 0
    assert f"{again['key']}: stored\n" in capsys.readouterr().out
    assert messages(database.dsn) == {"one": 1, "two": 1}


def test_with_the_database_away_the_rows_wait_in_the_spool(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a database the exit code is 1, and the rows are with those that any writer delivers."""
    key = refuse(directory, NOWHERE, "one")
    assert run(["rejected", "retry", "--dsn", NOWHERE, "--spool-dir", str(directory), "--all"]) == 1
    out, err = capsys.readouterr()
    assert f"{key}: now in the spool\n" in out
    assert "dblog: error: 1 row left for " in err
    assert listed(directory, capsys) == []
    assert run(["spool", "cat", "--spool-dir", str(directory)]) == 0
    assert "shop: one" in capsys.readouterr().out


def test_rows_for_another_database_are_not_tried(
    database: Database, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A KEY for another database is a usage error, and `--all` leaves it where it is."""
    key = refuse(directory, NOWHERE, "one")
    arguments = ["rejected", "retry", "--dsn", database.dsn, "--spool-dir", str(directory)]
    assert run([*arguments, key]) == 2
    assert f"{key}: is for another database" in capsys.readouterr().err
    assert run([*arguments, "--all"]) == 0
    assert f"{key} is left" in capsys.readouterr().err
    assert [each["key"] for each in listed(directory, capsys)] == [key]
    assert run([*arguments, key, "--from", "app@127.0.0.1:1/app"]) == 0
    assert f"{key}: stored\n" in capsys.readouterr().out
    assert messages(database.dsn)["one"] == 1


def test_rows_of_a_key_are_printed(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`cat` prints lines, and with `--jsonl` all columns and the reason."""
    key = refuse(directory, NOWHERE, "one", reason="too odd")
    assert run(["rejected", "cat", "--spool-dir", str(directory), key]) == 0
    assert "ERROR    shop: one order=7" in capsys.readouterr().out
    assert run(["rejected", "cat", "--spool-dir", str(directory), "--jsonl", key[:15]]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["reason"], row["message"], row["extra_data"]) == ("too odd", "one", {"order": 7})


def test_mistakes_are_named(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown or ambiguous KEY, none at all, and both kinds of choice are usage errors in one line."""
    first, _ = (refuse(directory, NOWHERE, "m", seq=seq) for seq in (1, 10))
    retry = ["rejected", "retry", "--dsn", NOWHERE, "--spool-dir", str(directory)]
    for arguments, complaint in (
        ([*retry], "give either KEYs"),
        ([*retry, "--all", "x"], "give either KEYs"),
        ([*retry, "x"], "KEY 'x': is none of them"),
        (["rejected", "cat", "--spool-dir", str(directory), first[:10]], "stands for 2 of them"),
    ):
        assert run(arguments) == 2
        err = capsys.readouterr().err
        assert complaint in err
        assert err.count("\n") == 1
    assert run(["rejected", "cat", "--spool-dir", str(directory), first]) == 0


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\x1e" * 100])
def test_garbage_is_shown_and_not_tried(garbage: bytes, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that holds no rows is listed as what it is, and a retry of it fails with one line."""
    (directory / "rejected").mkdir()
    (directory / "rejected" / "odd.seg").write_bytes(garbage)
    assert run(["rejected", "ls", "--spool-dir", str(directory)]) == 0
    assert ("odd" in capsys.readouterr().out) == bool(garbage)
    assert run(["rejected", "retry", "--dsn", NOWHERE, "--spool-dir", str(directory), "odd"]) == 1
    assert "dblog: error: odd: nothing in it can be read" in capsys.readouterr().err
    assert (directory / "rejected" / "odd.seg").read_bytes() == garbage


def test_nothing_was_set_aside(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list is said so."""
    assert run(["rejected", "ls", "--spool-dir", str(directory)]) == 0
    assert capsys.readouterr().out == f"nothing was set aside in {directory}\n"
