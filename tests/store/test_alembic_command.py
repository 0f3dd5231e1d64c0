"""The `alembic` command, with the `alembic.ini` at the top of the repository."""

import subprocess
import sys
from pathlib import Path

import pytest
from servers import Database

TOP = Path(__file__).parents[2]


def alembic(database: Database, *arguments: str) -> str:
    """Run the command; its standard output."""
    command = [sys.executable, "-m", "alembic", "-x", f"dsn={database.dsn}", *arguments]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("where", [(), ("-x", "schema=logs", "-x", "prefix=shop")])
def test_alembic_upgrades_checks_and_removes(empty_database: Database, where: tuple[str, ...]) -> None:
    """`alembic upgrade head` makes what `alembic check` finds complete, and `downgrade base` leaves nothing of it."""
    alembic(empty_database, *where, "upgrade", "head")
    assert "No new upgrade operations detected" in alembic(empty_database, *where, "check")
    assert "0002 (head)" in alembic(empty_database, *where, "current")
    alembic(empty_database, *where, "downgrade", "base")
    with empty_database.connect() as connection:
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, "
            "'information_schema'::regnamespace, 'pg_toast'::regnamespace)"
        ).fetchall()
    assert left == []
