"""Connections that are refused, or that never come about, and what ends each of these outages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest
from application import Application
from delivered import migrate
from eventually import eventually
from programs import IMPORTABLE, TIMEOUT
from proxies import Proxy, port_of
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from servers import Database

from dblog.embedded import EmbeddedServer

Start = Callable[..., Application]
Alter = Callable[[str], None]
REFUSED = "the server refused the connection after the password was sent"


@pytest.fixture
def alter(database: Database, writer: str) -> Alter:
    """A function that changes the writer's role, and ends its connections so that they see it."""
    role = str(conninfo_to_dict(writer)["user"])

    def change(text: str) -> None:
        with database.connect() as owner:
            owner.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(role), sql.SQL(text)))
            owner.execute("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s", [role])

    return change


@pytest.mark.parametrize(
    ("harm", "repair"),
    [
        ("PASSWORD 'another-one'", "PASSWORD 'hunter2-and-more'"),
        ("NOLOGIN", "LOGIN"),
        ("VALID UNTIL '2001-01-01'", "VALID UNTIL 'infinity'"),
    ],
    ids=["password", "locked", "expired"],
)
def test_a_role_that_is_locked_out(
    database: Database, writer: str, alter: Alter, start: Start, harm: str, repair: str
) -> None:
    """Once the password is right again, or the role may log in again, the records arrive without a restart."""
    application = start(writer)
    application.survive(lambda: alter(harm), lambda: alter(repair), REFUSED)
    application.check(database.dsn)


def test_a_role_without_a_connection_left(database: Database, writer: str, alter: Alter, start: Start) -> None:
    """A role at its connection limit waits until there is room."""
    application = start(writer)
    told = "the server, the database or the role has no free connection"
    application.survive(lambda: alter("CONNECTION LIMIT 0"), lambda: alter("CONNECTION LIMIT -1"), told)
    application.check(database.dsn)


def test_a_server_without_a_connection_left(private_server: EmbeddedServer, start: Start) -> None:
    """A server whose connections others have taken is waited for."""
    dsn = private_server.dsn()
    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("ALTER SYSTEM SET max_connections = 12")
    private_server.restart()
    with ExitStack() as others:

        def crowd() -> None:
            owner = others.enter_context(psycopg.connect(dsn, autocommit=True))
            owner.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'dblog'"
            )
            with suppress(psycopg.OperationalError):
                while True:
                    others.enter_context(psycopg.connect(dsn, autocommit=True))

        application = start(dsn)
        application.survive(crowd, others.close, "the server has no free connection")
    application.check(dsn)


def test_a_server_that_accepts_and_says_nothing(database: Database, start: Start) -> None:
    """An attempt to connect that hangs ends by itself; when the server answers again the records arrive."""
    with Proxy(port_of(database.dsn)) as proxy:
        proxy.silent = True
        dsn = make_conninfo(database.dsn, host="127.0.0.1", port=proxy.port)
        application = start(dsn, connect_timeout=2).log()
        eventually(lambda: application.handler.stats().failures, "the attempt to end")
        eventually(lambda: application.handler.stats().last_error == "no answer within the time limit", "the reason")
        proxy.silent = False
        application.log().await_recovery()
        application.check(dsn)


@pytest.fixture
def own_names() -> list[str]:
    """The beginning of a command line whose program finds hosts in a file `hosts` of its working directory."""
    command = ["unshare", "--mount", "sh", "-c", 'mount --bind hosts /etc/hosts && exec "$@"', "sh"]
    allowed = shutil.which("unshare") and os.geteuid() == 0
    if not allowed or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("NO ROOT: a test that changes what a name resolves to needs a mount namespace")
    return command


def test_a_name_that_does_not_resolve_yet(database: Database, own_names: list[str], tmp_path: Path) -> None:
    """While the name of the host is unknown, records wait; once it is known they arrive."""
    program = """
import logging, sys, dblog
handler = dblog.DatabaseLogHandler(sys.argv[1], spool_dir="spool", flush_interval=0.02)
logger = logging.getLogger("named")
logger.addHandler(handler)
logger.error("waits")
sys.stdin.readline()
print(handler.stats().last_error, flush=True)
sys.stdin.readline()
print(handler.flush(60))
handler.close()
"""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    dsn = make_conninfo(database.dsn, host="database.invalid")
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*own_names, sys.executable, "-c", program, dsn],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": IMPORTABLE},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    with process:
        assert process.stdin
        assert process.stdout
        eventually(lambda: (tmp_path / "stderr").read_text().count("does not take records"), "the outage to be said")
        process.stdin.write("what\n")
        process.stdin.flush()
        assert process.stdout.readline() == "the name of the host cannot be resolved\n"
        hosts.write_text("127.0.0.1 localhost database.invalid\n")
        process.communicate("now\n", timeout=TIMEOUT)
    assert process.returncode == 0
    with database.connect() as connection:
        assert connection.execute("SELECT message FROM dblog_logs").fetchall() == [("waits",)]
