"""Old records for the retention, and what becomes of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from records import insert
from servers import Database

from dblog.store.archivers import Archiver
from dblog.store.expiry import PASSING, Removal, find_expired
from dblog.store.names import Names
from dblog.store.policy import Policy
from dblog.store.retention import prune

LEVELS = {10: "DEBUG", 20: "INFO", 40: "ERROR"}


def noon(days: int) -> datetime:
    """The middle of a day so many days ago, in UTC; of today no moment that is still to come."""
    now = datetime.now(UTC)
    middle = now.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=days)
    return middle if days else min(middle, now)


def log(connection: psycopg.Connection, days: int, *records: tuple[int, str]) -> str:
    """Store records of so many days ago, by level and logger; returns the name of their partition."""
    rows: list[dict[str, Any]] = [
        {"timestamp": noon(days) + timedelta(seconds=i), "level_no": no, "level": LEVELS[no], "logger_name": name}
        for i, (no, name) in enumerate(records)
    ]
    insert(connection, *rows)
    return f"dblog_logs_p{noon(days):%Y%m%d}"


def left(connection: psycopg.Connection) -> list[tuple[int, str]]:
    """Level and logger of what is there, the oldest first."""
    return connection.execute("SELECT level_no, logger_name FROM dblog_logs ORDER BY timestamp, id").fetchall()


def tables(database: Database) -> set[str]:
    """The tables of the database, attached or not."""
    with database.connect() as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')").fetchall()
    return {name for (name,) in rows}


def run(
    kept: tuple[sa.Connection, Names], policy: Policy, *, force: bool = False, archiver: Archiver | None = None
) -> dict[str, Removal]:
    """Prune; returns what became of what."""
    running = prune(*kept, find_expired(*kept, policy), force=force, archiver=archiver)
    return {removal.name: removal for removal in running if removal.action not in PASSING}


def remember(connection: psycopg.Connection, name: str, value: str) -> None:
    """Write a row of the settings."""
    connection.execute(
        "INSERT INTO dblog_settings VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [name, value],
    )


def recall(connection: psycopg.Connection, like: str) -> dict[str, str]:
    """Rows of the settings."""
    found = connection.execute("SELECT name, value FROM dblog_settings WHERE name LIKE %s", [like])
    return dict(found.fetchall())


def detach(connection: psycopg.Connection, name: str, comment: str | None = None) -> None:
    """Detach a partition of the records by hand, with another comment where wanted."""
    table = sql.Identifier(name)
    if comment is not None:
        connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(comment)))
    connection.execute(sql.SQL("ALTER TABLE dblog_logs DETACH PARTITION {}").format(table))
