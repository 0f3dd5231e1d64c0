"""`dblog prune`."""

import json
import re
from pathlib import Path

import pytest
import yaml
from retained import left, log
from servers import Database

from dblog.cli.main import run
from dblog.store import retention


def make_old(database: Database, *days: int) -> list[str]:
    """Make the partitions of days in the past; returns the names of those of the records."""
    with database.connect() as connection:
        made = [connection.execute(f"SELECT dblog_make_partition(now() - interval '{day} days')") for day in days]
        return [cursor.fetchall()[0][0] for cursor in made]


def exists(database: Database, table: str) -> bool:
    """Whether a table is there."""
    with database.connect() as connection:
        return connection.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,)


def test_prune_drops_what_is_older_than_the_setting(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`logging.database.retention_days` decides, and the table that is printed names what went."""
    old, young = make_old(database, 60, 40)
    path = tmp_path / "config.yml"
    path.write_text(
        yaml.safe_dump({"database": {"dsn": database.dsn}, "logging": {"database": {"retention_days": 50}}})
    )
    assert run(["prune", "--config", str(path)]) == 0
    out = capsys.readouterr().out
    assert old in out
    assert young not in out
    assert not exists(database, old)
    assert exists(database, young)


def test_retention_days_may_be_given(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`--retention-days` is stronger than the setting; what is left is kept."""
    old, young = make_old(database, 20, 5)
    assert run(["prune", "--dsn", database.dsn, "--retention-days", "10", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (removal,) = report["tables"]
    assert (report["max_bytes"], report["limit_in_days"], report["doubts"]) == (None, None, [])
    assert (removal["name"], removal["action"], removal["blockers"]) == (old, "dropped", [])
    assert removal["size"] > 0
    assert exists(database, young)


def test_nothing_to_do_is_said(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Without expired partitions the answer says how old they would have to be."""
    assert run(["prune", "--dsn", database.dsn]) == 0
    assert capsys.readouterr().out == "nothing is older than 365 days\n"


def test_a_dry_run_changes_nothing(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` shows what would go, also where it would need `--force`, and leaves all of it."""
    old = make_old(database, *range(370, 381))
    assert run(["prune", "--dsn", database.dsn, "--dry-run"]) == 0
    out, note = capsys.readouterr()
    assert all(name in out for name in old)
    assert out.count("would drop") == 22
    assert "needs --force" in note
    assert all(exists(database, name) for name in old)


def test_more_than_half_needs_force(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that would drop most of the table is refused with one line; `--force` does it."""
    old = make_old(database, *range(370, 381))
    assert run(["prune", "--dsn", database.dsn]) == 1
    assert "--force" in capsys.readouterr().err
    assert all(exists(database, name) for name in old)
    assert run(["prune", "--dsn", database.dsn, "--force"]) == 0
    assert not any(exists(database, name) for name in old)


def test_waiting_for_a_reader_is_exit_code_1(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a reader holds up is shown with the reader's process, and the exit code says that work is left."""
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "50ms")
    (old,) = make_old(database, 370)
    with database.connect() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM dblog_logs")
        assert run(["prune", "--dsn", database.dsn]) == 1
        assert f"waiting for process {reader.info.backend_pid}" in capsys.readouterr().out
    assert run(["prune", "--dsn", database.dsn]) == 0
    assert not exists(database, old)


def test_prune_makes_the_partitions_ahead(empty_database: Database) -> None:
    """A daily prune keeps the coming partitions there as well."""
    assert run(["init", "--dsn", empty_database.dsn]) == 0
    with empty_database.connect() as connection:
        name = connection.execute("SELECT dblog_make_partition(now() + interval '7 days')").fetchall()[0][0]
        connection.execute(f"DROP TABLE {name}")
    assert run(["prune", "--dsn", empty_database.dsn]) == 0
    assert exists(empty_database, name)


def test_rows_are_estimated_or_unknown(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ANALYZE the server's own count is shown, after ANALYZE its figure, and without either `unknown`."""
    wanted = ["prune", "--dsn", database.dsn, "--dry-run"]

    def shown() -> dict[str, object]:
        assert run([*wanted, "--json"]) == 0
        return {each["name"]: each["rows"] for each in json.loads(capsys.readouterr().out)["tables"]}

    with database.connect() as connection:
        old, other = log(connection, 370, (20, "app"), (20, "app")), log(connection, 371, (20, "app"))
        connection.execute(f"ANALYZE {other}")
        connection.execute("SELECT pg_stat_force_next_flush()")
        assert shown() == {old: 2, other: 1, old.replace("logs", "batches"): 0, other.replace("logs", "batches"): 0}
        connection.execute("SELECT pg_stat_reset()")
        assert (shown()[old], shown()[other]) == (None, 1)
    assert run(wanted) == 0
    assert re.search(rf"{old} .* unknown", capsys.readouterr().out)


@pytest.mark.parametrize("days", ["0", "-1", "soon", "36501"])
def test_a_bad_number_of_days_is_refused(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A retention that is no number of days is named with its value, and nothing is connected to."""
    assert run(["prune", "--dsn", "host=127.0.0.1 port=1", f"--retention-days={days}"]) == 2
    assert f"'--retention-days': '{days}'" in capsys.readouterr().err.replace(f": {days} ", f": '{days}' ")


def test_missing_tables_are_an_error(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Without tables the line says what makes them."""
    assert run(["prune", "--dsn", empty_database.dsn]) == 1
    assert "dblog init" in capsys.readouterr().err


def test_rows_go_by_level_and_logger(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`--level` and `--logger` delete rows; the dry run counts them, and both name the levels."""
    with database.connect() as connection:
        log(connection, 10, (10, "app"), (10, "app"), (20, "noise"), (40, "app"))
        wanted = ["prune", "--dsn", database.dsn, "--level", "DEBUG=7", "--logger", "noise=3"]
        assert run([*wanted, "--dry-run"]) == 0
        assert "would delete rows: 1 INFO, 2 DEBUG" in capsys.readouterr().out
        assert len(left(connection)) == 4
        assert run([*wanted, "--force"]) == 0
        assert "deleted rows: 1 INFO, 2 DEBUG" in capsys.readouterr().out
        assert left(connection) == [(40, "app")]
        assert run([*wanted, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["tables"] == []


def test_a_limit_in_bytes_comes_with_a_forecast(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """`--max-bytes` drops the oldest, says what is kept, and when the limit is reached at today's rate."""
    with database.connect() as connection:
        old = log(connection, 3, (20, "app"))
        log(connection, 0, (20, "app"))
    assert run(["prune", "--dsn", database.dsn, "--max-bytes", "1GiB"]) == 0
    assert "of 1.1 GB are kept; at today's rate the limit is " in capsys.readouterr().out
    assert exists(database, old)
    assert run(["prune", "--dsn", database.dsn, "--max-bytes", "1"]) == 0
    assert "the limit is exceeded" in capsys.readouterr().out
    assert not exists(database, old)


@pytest.mark.parametrize(
    "option", ["--max-bytes=0", "--max-bytes=much", "--level=DEBUG", "--level=DEBG=7", "--level=DEBUG=0", "--logger==7"]
)
def test_a_bad_policy_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no size, or no name with its days, is named with what is accepted."""
    assert run(["prune", "--dsn", "host=127.0.0.1 port=1", option]) == 2
    error = capsys.readouterr().err
    assert f"'{option.partition('=')[0]}': '{option.partition('=')[2]}' is no " in error
    assert "accepted: " in error


def test_an_empty_archive_is_refused(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable of the shell that is not set drops nothing without an archive, and hides none that is configured."""
    (old,) = make_old(database, 400)
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump({"logging": {"database": {"archive": str(tmp_path / "archive")}}}))
    for command in (["prune", "--archive", ""], ["prune", "--dry-run", "--archive", ""], ["archive", ""]):
        assert run([*command, "--config", str(path), "--dsn", database.dsn]) == 2
        assert "archive: '' is no place" in capsys.readouterr().err
    assert exists(database, old)


def test_partitions_go_to_the_archive(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--archive` brings what is dropped to safety first; the dry run says so."""
    with database.connect() as connection:
        old = log(connection, 370, (20, "app"))
        log(connection, 0, (20, "app"))
    wanted = ["prune", "--dsn", database.dsn, "--archive", str(tmp_path / "archive")]
    assert run([*wanted, "--dry-run"]) == 0
    assert "would archive and drop" in capsys.readouterr().out
    assert run(wanted) == 0
    assert "archived and dropped" in capsys.readouterr().out
    assert not exists(database, old)
    assert any(path.is_file() for path in (tmp_path / "archive").rglob("*"))
