"""Databases that an application cannot connect to for a while, and the test can."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import Database


class Gate:
    """Opens and closes a database for all who are no superusers.

    Args:
        database: The database.
        role: A role that may write to it.
        password: Its password.
    """

    def __init__(self, database: Database, role: str, password: str) -> None:
        self.database = database
        self.dsn = make_conninfo(database.dsn, user=role, password=password)
        self._role = role

    def close(self) -> None:
        """Let nobody in any more, and end the connections that there are."""
        self._limit(0)
        with self.database.connect() as owner:
            query = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s"
            owner.execute(query, [self._role])

    def open(self) -> None:
        """Let everybody in."""
        self._limit(-1)

    def _limit(self, connections: int) -> None:
        change = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
        with self.database.connect() as owner:
            owner.execute(change.format(sql.Identifier(self.database.name), sql.Literal(connections)))


@contextmanager
def gate_to(database: Database) -> Iterator[Gate]:
    """Make a role that may write to a database, and a gate before it."""
    role, password = f"writer_{secrets.token_hex(4)}", secrets.token_hex(8)
    name = sql.Identifier(role)
    with database.connect() as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, password))
        owner.execute(sql.SQL("GRANT INSERT ON dblog_logs, dblog_batches TO {}").format(name))
        owner.execute(sql.SQL("GRANT EXECUTE ON FUNCTION dblog_make_partition TO {}").format(name))
    gate = Gate(database, role, password)
    try:
        yield gate
    finally:
        gate.close()
        with database.connect() as owner:
            owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name))
