"""Tables, columns, partitions and rights that are missing until somebody puts them back, and a read-only database."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from application import Application
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from servers import Database

Start = Callable[..., Application]


@pytest.mark.parametrize(
    ("harm", "repair", "saying"),
    [
        ("ALTER TABLE dblog_logs RENAME TO hidden", "ALTER TABLE hidden RENAME TO dblog_logs", "does not exist"),
        ("ALTER TABLE dblog_batches RENAME TO hidden", "ALTER TABLE hidden RENAME TO dblog_batches", "does not exist"),
        (
            "ALTER TABLE dblog_logs RENAME COLUMN task_name TO task",
            "ALTER TABLE dblog_logs RENAME COLUMN task TO task_name",
            "a column is missing",
        ),
        (
            "ALTER TABLE dblog_logs DETACH PARTITION {today}; "
            "ALTER FUNCTION dblog_make_partition(timestamptz) RENAME TO hidden",
            "ALTER FUNCTION hidden(timestamptz) RENAME TO dblog_make_partition",
            "a function is missing",
        ),
        (
            "REVOKE INSERT ON dblog_logs FROM {role}",
            "GRANT INSERT ON dblog_logs TO {role}",
            "the role lacks a right (SQLSTATE 42501)",
        ),
        (
            "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
            "GRANT USAGE ON SCHEMA public TO PUBLIC",
            "the role lacks a right (SQLSTATE 42501)",
        ),
        (
            "ALTER ROLE {role} SET default_transaction_read_only = on",
            "ALTER ROLE {role} RESET default_transaction_read_only",
            "the server is read-only (SQLSTATE 25006)",
        ),
    ],
    ids=["table", "ledger", "column", "function", "right", "schema", "read-only"],
)
def test_what_somebody_has_to_mend(
    database: Database, writer: str, start: Start, harm: str, repair: str, saying: str
) -> None:
    """What is wrong is said; once it is mended, all that was logged meanwhile arrives without a restart."""
    role = sql.Identifier(str(conninfo_to_dict(writer)["user"]))
    today = f"dblog_logs_p{datetime.now(UTC):%Y%m%d}"

    def execute(text: str) -> None:
        with database.connect() as owner:
            owner.execute(sql.SQL(text).format(role=role, today=sql.Identifier(today)))
            if "SET default" in text:  # which counts for new sessions only
                owner.execute(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'dblog'"
                )

    application = start(writer, auto_create=False)
    application.survive(lambda: execute(harm), lambda: execute(repair), saying)
    application.check(database.dsn, "dblog_logs", *([today] if "DETACH" in harm else []))


def test_tables_that_were_dropped_are_made_again(database: Database, start: Start) -> None:
    """Where the role may make tables it does so in the middle of its life, too, and goes on."""
    application = start(database.dsn).log()
    assert application.handler.flush(30)
    with database.connect() as owner:
        owner.execute("DROP SCHEMA public CASCADE")
        owner.execute("CREATE SCHEMA public")
    application.expect_refused(lambda _: True).log().await_recovery()
    application.check(database.dsn)
