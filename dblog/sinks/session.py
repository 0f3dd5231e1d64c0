"""A session with one set of tables: opened when it is needed, checked before it is used, and under a deadline."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from psycopg import pq, sql

from dblog.columns import SCHEMA_REVISION, takes_records
from dblog.errors import NotMigrated
from dblog.faults import needs_new_session, sqlstate_of
from dblog.sinks import exchange, statements
from dblog.sinks.connection import abandon, connect
from dblog.sinks.statements import Statements

Prepare = Callable[[psycopg.Connection], None]


@dataclass(slots=True, kw_only=True)
class Session:
    """One connection, which is replaced when it is lost.

    Args:
        conninfo: A libpq connection string.
        schema: The schema of the tables; None for the first one of the role's search_path.
        table_prefix: The prefix of the tables.
        connect_timeout: Seconds for one attempt to connect.
        query_timeout: Seconds for one batch.
        prepare: Creates or upgrades the tables on a connection of its own; None where that is left to `dblog init`.
    """

    conninfo: str
    schema: str | None
    table_prefix: str
    connect_timeout: float
    query_timeout: float
    prepare: Prepare | None = None
    _connection: psycopg.Connection | None = field(default=None, init=False)
    _statements: Statements = field(init=False)

    @property
    def connected(self) -> bool:
        """True while there is a connection that was not seen to fail."""
        return self._connection is not None

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """In a forked child: let go of the inherited connection without a word to the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            abandon(connection)

    def _ready_connection(self) -> psycopg.Connection:
        if self._connection is not None and not exchange.is_alive(self._connection.pgconn):
            self.close()
        if self._connection is None:
            connection = self._connect()
            try:
                self._check_tables(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _connect(self) -> psycopg.Connection:
        return connect(self.conninfo, connect_timeout=self.connect_timeout, query_timeout=self.query_timeout)

    def _check_tables(self, connection: psycopg.Connection) -> None:
        """Learn the schema; where the tables are missing or older than this release, have them made."""
        schema = self.schema or self._one_value(connection, statements.CURRENT_SCHEMA)
        self._statements = Statements(schema or "public", self.table_prefix)
        found = self._revision(connection)
        if found == SCHEMA_REVISION or (found is not None and self._goes_on_with(connection, found)):
            return
        if self.prepare is None:
            raise NotMigrated(f"the tables {self.table_prefix}_* are missing or of another version: run `dblog init`")
        with self._connect() as other:
            other.autocommit = False
            self.prepare(other)

    def _goes_on_with(self, connection: psycopg.Connection, found: str) -> bool:
        """Whether tables of another revision are written to as they are: older ones where nobody here upgrades them."""
        if found < SCHEMA_REVISION and self.prepare is not None:
            return False
        return takes_records(found, self._one_value(connection, self._statements.oldest_writer()))

    def _revision(self, connection: psycopg.Connection) -> str | None:
        try:
            return self._one_value(connection, self._statements.revision())
        except psycopg.Error as error:
            state = sqlstate_of(error)
            if state == "42501":  # a role that may only write cannot tell: the tables are somebody else's work
                return SCHEMA_REVISION
            if state == "42P01":
                return None
            raise

    def _one_value(self, connection: psycopg.Connection, query: sql.Composable) -> str | None:
        result = self._run(connection, query)[-1]
        value = result.get_value(0, 0) if result.ntuples else None
        return value.decode() if value is not None else None

    def _settle(self, connection: psycopg.Connection, error: BaseException) -> None:
        """After a failure: end the transaction, or the connection where that is not possible or would not help."""
        try:
            self._run(connection, statements.ROLLBACK)
        except (psycopg.Error, OSError):
            self.close()
        if needs_new_session(error):
            self.close()

    def _run(
        self, connection: psycopg.Connection, query: sql.Composable, payload: bytes | None = None
    ) -> list[pq.abc.PGresult]:
        deadline = time.monotonic() + self.query_timeout
        return exchange.run(connection.pgconn, query.as_bytes(connection), payload, deadline)
