"""`dblog doctor`."""

import json
import shlex
from pathlib import Path

import pytest
from servers import Database
from spooled import leave

from dblog.cli.main import run


def test_all_is_well(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A healthy database: exit code 0, one line for each check, nothing to mend."""
    assert run(["doctor", "--dsn", database.dsn]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 14
    assert all(line.startswith("ok ") for line in lines)


def test_a_warning_is_exit_code_1(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Something that will hurt later: exit code 1, and the command that mends it."""
    with database.connect() as connection:
        connection.execute("CREATE TABLE rest PARTITION OF dblog_batches DEFAULT")
    assert run(["doctor", "--dsn", database.dsn]) == 1
    out = capsys.readouterr().out
    assert "warning  default partition: rest" in out
    assert "mend it with: psql -c" in out


def test_an_error_is_exit_code_2(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Something that stops the work: exit code 2, and the command that mends it does so."""
    assert run(["doctor", "--dsn", empty_database.dsn]) == 2
    assert "mend it with: dblog init" in capsys.readouterr().out
    assert run(["init", "--dsn", empty_database.dsn]) == 0
    assert run(["doctor", "--dsn", empty_database.dsn]) == 0


def test_json_is_for_machines(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` gives the verdict and every check with its state, finding and remedy."""
    assert run(["doctor", "--json", "--dsn", empty_database.dsn]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["status"] == "error"
    assert [check["name"] for check in report["checks"]] == ["reachable", "version", "migrated", "spool"]
    assert all(set(check) == {"name", "state", "finding", "remedy"} for check in report["checks"])


def test_no_server_is_an_error_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that is away is a finding, not a failure of the command, and the password stays unsaid."""
    assert run(["doctor", "--dsn", "postgresql://app:swordfish@127.0.0.1:1/x"]) == 2
    out, err = capsys.readouterr()
    assert "app@127.0.0.1:1/x" in out
    assert "swordfish" not in out + err
    assert err == ""


def test_a_folder_that_cannot_be_used_is_an_error(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A spool folder that is a file, or below one, is found before the night in which it is needed."""
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DBLOG_LOGGING__DATABASE__SPOOL_DIR", str(tmp_path / "file" / "spool"))
    assert run(["doctor", "--dsn", database.dsn]) == 2
    assert f"error    spool: {tmp_path / 'file'} is no folder" in capsys.readouterr().out


def test_what_waits_in_the_spool_is_found(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rows that a writer left behind are a warning, and the command that is shown delivers them."""
    directory = tmp_path / "the spool"
    monkeypatch.setenv("DBLOG_LOGGING__DATABASE__SPOOL_DIR", str(directory))
    leave(directory, database.dsn, "left")
    assert run(["doctor", "--json", "--dsn", database.dsn]) == 1
    (check,) = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["state"] != "ok"]
    assert (check["name"], check["finding"].split(",")[0]) == ("backlog", "1 ended writer left 1 row")
    assert run([*shlex.split(check["remedy"])[1:], "--dsn", database.dsn]) == 0
    assert run(["doctor", "--dsn", database.dsn]) == 0


def test_no_spool_on_purpose_is_no_warning(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked for memory only is told what that means, and nothing more."""
    monkeypatch.setenv("DBLOG_LOGGING__DATABASE__SPOOL_DIR", "none")
    assert run(["doctor", "--dsn", database.dsn]) == 0
    assert "ok       spool: none: records wait in memory only" in capsys.readouterr().out
