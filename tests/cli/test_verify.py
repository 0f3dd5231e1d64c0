"""`dblog verify`: what it prints, and how it ends."""

import json
import secrets
from collections.abc import Iterator
from uuid import UUID

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from records import at, insert
from servers import Database

from dblog.cli.main import run


@pytest.fixture
def writer(database: Database) -> UUID:
    """A writer that has delivered two batches."""
    with database.connect() as connection:
        found = insert(connection, {}, {}, {})
        return insert(connection, {}, {"message": "last"}, writer=found, seq=2)


@pytest.fixture
def reading_role(database: Database) -> Iterator[str]:
    """The DSN of a role that may read the records and the ledger, and nothing else."""
    role = f"dblog_reader_{secrets.token_hex(4)}"
    name = sql.Identifier(role)
    with database.connect() as owner:
        owner.execute(sql.SQL("CREATE ROLE {}").format(name))
        owner.execute(sql.SQL("GRANT SELECT ON dblog_logs, dblog_batches TO {}").format(name))
        try:
            yield make_conninfo(database.dsn, options=f"-c role={role}")
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {}").format(name))
            owner.execute(sql.SQL("DROP ROLE {}").format(name))


def execute(database: Database, statement: str, *parameters: object) -> None:
    """Change something by hand."""
    with database.connect() as connection:
        connection.execute(statement.encode(), parameters)


def test_what_is_proven_is_exit_code_0(database: Database, writer: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    """Each writer has a line in a table, and the last line says what was proven."""
    assert run(["verify", "--dsn", database.dsn]) == 0
    out = capsys.readouterr().out
    assert str(writer)[:8] in out
    assert "table" in out
    assert "missing" not in out
    assert out.splitlines()[-1].startswith("proven: writers 1, batches 2, rows 5; delivered since ")


def test_the_reading_role_may_verify(
    database: Database, reading_role: str, writer: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    """SELECT on the records and the ledger is enough, also to learn what the retention has removed."""
    execute(database, "DELETE FROM dblog_logs")
    execute(database, "INSERT INTO dblog_settings VALUES ('pruned_before', %s)", at(days=-1).isoformat())
    assert run(["verify", "--dsn", reading_role, "--writer", str(writer)]) == 0
    assert "proven" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("DELETE FROM dblog_logs WHERE message = 'last'", "batch 2: 1 of 2 rows is missing"),
        ("UPDATE dblog_batches SET rows_stored = 1 WHERE batch_seq = 2", "batch 2: 2 rows, 1 by the ledger"),
        ("DELETE FROM dblog_batches WHERE batch_seq = 2", "batch 2: 2 rows of a batch that the ledger does not know"),
        (
            "WITH gone AS (DELETE FROM dblog_logs WHERE batch_seq = 1) DELETE FROM dblog_batches WHERE batch_seq = 1",
            "batch not delivered, which may still wait in a spool: 1",
        ),
    ],
)
def test_what_is_not_proven_is_named(
    statement: str, line: str, database: Database, writer: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing, doubled, unknown or not delivered has a line with its batch, and the exit code is 1."""
    execute(database, statement)
    assert run(["verify", "--dsn", database.dsn]) == 1
    *_, finding, verdict = capsys.readouterr().out.splitlines()
    assert finding == f"writer {writer}: {line}"
    assert verdict.startswith("not proven: ")


@pytest.mark.parametrize(
    ("extra", "code", "line"),
    [
        (
            {"event": "unclean_end", "waiting": 1234, "last_seen": "2026-11-21T09:33:31+00:00"},
            0,
            "ended uncleanly; lost are at most the 1,234 records that were in its memory at 2026-11-21T09:33:31+00:00, "
            "and what it took later",
        ),
        ({"event": "unclean_end"}, 0, "ended uncleanly; nothing is known of what was in its memory"),
        (
            {"event": "unclean_end", "waiting": 0, "durability": "journal"},
            0,
            "ended uncleanly; what it had taken was in its journal",
        ),
        ({"event": "losses", "dropped": {"10": 2}}, 1, "recorded as lost: 2 dropped, 0 printed to stderr"),
    ],
)
def test_what_writers_recorded_is_shown(
    extra: dict[str, object],
    code: int,
    line: str,
    database: Database,
    writer: UUID,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An end without a known loss wakes nobody, though it is shown with its bound; a recorded loss does."""
    with database.connect() as connection:
        insert(connection, {"logger_name": "dblog", "extra_data": extra | {"writer_id": writer.hex}})
    assert run(["verify", "--dsn", database.dsn]) == code
    assert f"writer {writer}: {line}\n" in capsys.readouterr().out


def test_many_faults_are_summed_up(database: Database, writer: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten batches of a kind are named, the others are counted."""
    with database.connect() as connection:
        for seq in range(3, 40, 2):
            insert(connection, {}, writer=writer, seq=seq)
    execute(database, "DELETE FROM dblog_logs")
    assert run(["verify", "--dsn", database.dsn]) == 1
    out = capsys.readouterr().out
    assert f"writer {writer}: 11 more batches with missing rows\n" in out
    assert "spool: 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 8 more\n" in out


def test_findings_are_json(database: Database, writer: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    """`-o json` prints one object with the same figures, and the exit code is the same."""
    execute(database, "DELETE FROM dblog_logs WHERE message = 'last'")
    assert run(["verify", "-o", "json", "--utc", "--dsn", database.dsn]) == 1
    found = json.loads(capsys.readouterr().out)
    (account,) = found["writers"]
    assert found["proven"] is account["proven"] is False
    assert (account["writer_id"], account["state"], account["last_heard"][-6:]) == (str(writer), "open", "+00:00")
    assert (account["batches"], account["ledger_rows"], account["table_rows"]) == (2, 5, 4)
    assert account["missing"] == {
        "batches": 1,
        "rows": 1,
        "examples": [{"batch_seq": 2, "expected": 2, "found": 1}],
    }
    assert account["gaps"] == {"batches": 0, "examples": []}


def test_the_window_is_of_the_delivery(database: Database, writer: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    """What was delivered outside of --since and --until is not looked at."""
    execute(database, "UPDATE dblog_batches SET created_at = %s", at(days=3))
    execute(database, "DELETE FROM dblog_logs")
    assert run(["verify", "--dsn", database.dsn]) == 0
    assert capsys.readouterr().out.startswith("proven: writers 0, batches 0, rows 0; ")
    assert run(["verify", "--dsn", database.dsn, "--since", "4d", "--until", "2d"]) == 1
    assert str(writer)[:8] in capsys.readouterr().out


def test_names_cannot_steer_the_terminal(database: Database, writer: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    """What a writer calls itself is shown with its control characters as escapes."""
    execute(database, "UPDATE dblog_batches SET service = %s", "\x1b[2J")
    for form in ("table", "json"):
        assert run(["verify", "--dsn", database.dsn, "-o", form]) == 0
        assert "\x1b" not in capsys.readouterr().out


def test_a_writer_is_a_uuid(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is a usage error that names the option and the value."""
    assert run(["verify", "--dsn", "host=127.0.0.1 port=1", "--writer", "me"]) == 2
    assert "'--writer': 'me' is not a valid UUID" in capsys.readouterr().err


def test_missing_tables_are_an_error(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Without tables one line says what makes them."""
    assert run(["verify", "--dsn", empty_database.dsn]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "dblog init" in error


def test_a_statement_ends_at_its_time_limit(
    database: Database, writer: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--timeout` bounds each statement: one that has to wait fails with one line."""
    with database.connect() as other, other.transaction():
        other.execute("LOCK TABLE dblog_batches")
        assert run(["verify", "--dsn", database.dsn, "--timeout", "0.05"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
