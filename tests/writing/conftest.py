"""Handlers on the test's database, loggers that carry them, and what became of the records."""

import logging
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from eventually import PATIENCE, eventually
from programs import IMPORTABLE, TIMEOUT
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from servers import Database

from dblog import DatabaseLogHandler, HandlerStats

PASSWORD = "hunter2-and-more"
"""Of the role `writer`; nothing that is printed may have it."""


class MakeHandler(Protocol):
    """Makes a handler that is closed at the end of the test."""

    def __call__(self, dsn: str, **arguments: Any) -> DatabaseLogHandler:
        """Make it."""
        ...


@pytest.fixture
def make_handler() -> Iterator[MakeHandler]:
    """A function that makes handlers, without a spool unless asked; those that are left open are closed at the end."""
    made: list[DatabaseLogHandler] = []

    def make(dsn: str, **arguments: Any) -> DatabaseLogHandler:
        made.append(DatabaseLogHandler(dsn, **{"spool_dir": None, "close_timeout": PATIENCE, **arguments}))
        return made[-1]

    yield make
    for handler in made:
        handler.close(1.0)


@pytest.fixture
def attach() -> Iterator[Callable[..., logging.Logger]]:
    """A function that gives a logger, by default one of the test's own, which leads to the given handlers alone."""
    made: list[logging.Logger] = []

    def make(*handlers: logging.Handler, name: str = "") -> logging.Logger:
        if not name:  # one that nobody else knows of, for pytest adds handlers of its own to all that it finds
            logger = logging.Logger(f"test.{secrets.token_hex(4)}", 1)
            logger.handlers = list(handlers)
            return logger
        logger = logging.getLogger(name)
        logger.setLevel(1)
        logger.propagate = False
        logger.handlers = list(handlers)
        made.append(logger)
        return logger

    yield make
    for logger in made:
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def handler(database: Database, make_handler: MakeHandler) -> DatabaseLogHandler:
    """A handler with defaults for everything but the database."""
    return make_handler(database.dsn)


@pytest.fixture
def logger(handler: DatabaseLogHandler, attach: Callable[..., logging.Logger]) -> logging.Logger:
    """A logger that leads to `handler`."""
    return attach(handler)


@pytest.fixture(scope="session")
def stored() -> Callable[..., list[dict[str, Any]]]:
    """A function that gives the rows of a table of a database, in the order of their arrival."""

    def read(database: Database, table: str = "dblog_logs", order: str = "id") -> list[dict[str, Any]]:
        query = sql.SQL("SELECT * FROM {} ORDER BY {}").format(sql.Identifier(table), sql.Identifier(order))
        with database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()

    return read


@pytest.fixture(scope="session")
def assert_conserved() -> Callable[[DatabaseLogHandler], None]:
    """A function that checks that in a quiet moment every record of a handler is somewhere, and in one place only."""

    def is_balanced(stats: HandlerStats) -> bool:
        places = (stats.stored, stats.spooled, stats.rejected, stats.printed, stats.dropped, stats.waiting)
        return stats.emitted == sum(map(Counter, places), Counter())

    def check(handler: DatabaseLogHandler) -> None:
        eventually(lambda: is_balanced(handler.stats()), f"a balance of {handler.stats()}")

    return check


class Run(Protocol):
    """Runs a program in a process of its own."""

    def __call__(self, code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `code` to its end."""
        ...


@pytest.fixture(scope="session")
def run() -> Run:
    """A function that runs Python code with arguments and additional environment variables."""

    def execute(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": IMPORTABLE, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    return execute


@pytest.fixture
def writer(database: Database) -> Iterator[str]:
    """The connection string of a role of the test's own that may write, and log in with a password."""
    role = f"writer_{secrets.token_hex(4)}"
    name = sql.Identifier(role)
    with database.connect() as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, PASSWORD))
        owner.execute(sql.SQL("GRANT INSERT ON dblog_logs, dblog_batches TO {}").format(name))
        owner.execute(sql.SQL("GRANT EXECUTE ON FUNCTION dblog_make_partition TO {}").format(name))
    yield make_conninfo(database.dsn, user=role, password=PASSWORD)
    with database.connect() as owner:
        owner.execute("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s", [role])
        owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name))
