"""Rows that a constraint or a trigger refuses: they alone are set aside, with the reason, and the rest is stored."""

from collections.abc import Callable
from pathlib import Path

import pytest
from application import ROW_TEXT, Application
from servers import Database

Start = Callable[..., Application]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (
            "ALTER TABLE dblog_logs ADD CONSTRAINT no_fives CHECK (message NOT LIKE '%5')",
            "a constraint refused a row (SQLSTATE 23514): constraint no_fives",
        ),
        (
            "CREATE FUNCTION no_fives() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF new.message LIKE '%5' THEN RAISE 'not %', new.message; END IF; RETURN new; END $$;"
            "CREATE TRIGGER no_fives BEFORE INSERT ON dblog_logs FOR EACH ROW EXECUTE FUNCTION no_fives()",
            "a trigger refused a row (SQLSTATE P0001)",
        ),
    ],
    ids=["constraint", "trigger"],
)
def test_refused_rows_are_set_aside(database: Database, start: Start, tmp_path: Path, harm: str, reason: str) -> None:
    """One row in ten is refused: it is counted and kept in a file with the reason; the others are stored."""
    with database.connect() as owner:
        owner.execute(harm.encode())
    application = start(database.dsn).log(500)
    application.expect_refused(lambda message: message.endswith("5")).await_recovery()
    application.handler.close()
    application.check(database.dsn)
    assert application.handler.stats().rejected == {20: 50}
    assert reason in application.said()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "spool" / "rejected").iterdir())
    assert kept.count(ROW_TEXT.encode()) == 50
    assert reason.encode() in kept
