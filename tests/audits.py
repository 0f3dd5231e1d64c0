"""Audits of what was delivered lately, and what writers record about losses."""

from typing import Any
from uuid import UUID

import psycopg
from records import at, insert
from servers import Database

from dblog.reading.audit import Account, audit
from dblog.reading.window import Window
from dblog.store.engine import reading


def accounts(database: Database, writer: UUID | None = None, **before: float) -> tuple[Account, ...]:
    """The accounts of what was delivered in the last day, or since a moment before now, as `timedelta` takes it."""
    with reading(database.settings.database) as (connection, names):
        return audit(connection, names, Window(at(**(before or {"days": 1})), at(days=-31)), writer)


def note(connection: psycopg.Connection, **extra: Any) -> UUID:
    """Add a record of the logger `dblog`; returns the writer that delivered it."""
    return insert(connection, {"logger_name": "dblog", "extra_data": extra})
